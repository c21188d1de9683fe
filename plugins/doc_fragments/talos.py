# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that talk to a machine through ``talosctl``."""

from __future__ import annotations


class ModuleDocFragment:
    # A module that has another default or that requires an option repeats only that key of it.
    DOCUMENTATION = r"""
options:
  address:
    description: Address of the machine (an IP address or a name that resolves), without a port. Never the virtual address, which lives only while etcd does.
    type: str
    required: true
  talosconfig:
    description:
      - File with the client certificate for the machines, as M(trinode.platform.talos_credentials) writes it.
      - A machine in maintenance mode is reached without it.
    type: path
  talosctl:
    description: The program C(talosctl), as a path or a name to look for in E(PATH). Not older than the Talos of the machines.
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up, all its waits together.
    type: int
    default: 600
requirements:
  - talosctl
"""

    # A machine that is not ours yet: whom do we talk to?
    FIRST_CONTACT = r"""
options:
  certificate_fingerprint:
    description:
      - SHA-256 fingerprint (base64, as C(talosctl) prints it, or hex) of the certificate that the machine shows in maintenance mode.
      - When it is given, a machine with another certificate is refused. When it is not, the first contact is not authenticated.
    type: str
    default: ""
"""
