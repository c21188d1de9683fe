# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that talk to the Kubernetes API."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description: File with the address and the credentials of the Kubernetes API. There is no search in the environment or the home directory.
    type: path
    required: true
  context:
    description: Name of the context in O(kubeconfig). Empty takes its current context.
    type: str
    default: ""
  timeout:
    description: Seconds after which the task gives up, all its waits together.
    type: int
    default: 600
requirements:
  - kubernetes >= 31.0.0 (Python package)
"""
