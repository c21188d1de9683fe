# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a machine: who answers (one TLS handshake), and what Talos tells (talosctl, all kinds at once)."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import CertificateMismatch
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import ClientContext, read_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import KINDS, MachineState, describe, link_of

ALL_SUBJECTS = tuple(KINDS)


class Machine:
    """A machine at an address, and how to talk to it: the talosconfig (which may not exist yet), and the fingerprint expected in maintenance."""

    def __init__(self, address: str, *, talosctl: str, talosconfig: str | None, fingerprint: str = "") -> None:
        self.address = address
        self.talosctl = talosctl
        self.talosconfig = talosconfig or ""
        self.expected_fingerprint = machine_tls.normalized_fingerprint(fingerprint) if fingerprint else ""
        self.context: ClientContext | None = read_talosconfig(talosconfig)

    def probe(self, *, deadline: Deadline) -> machine_tls.Handshake:
        """Who answers. Raises CertificateMismatch when a machine in maintenance is not the one whose fingerprint was given."""
        shown = machine_tls.probe(self.address, self.context.authorities if self.context else "", deadline=deadline)
        if shown.trust == machine_tls.MAINTENANCE and self.expected_fingerprint and shown.fingerprint != self.expected_fingerprint:
            raise CertificateMismatch(
                f"the machine shows a certificate with fingerprint {shown.fingerprint}, expected was {self.expected_fingerprint}",
                where=self.address,
                hint="Compare with the one on the machine's console, new at every boot into maintenance mode, and correct machine_certificate_fingerprint. "
                "Where that is not set, the machine was looked at in this run and shows another one since: was it rebooted? If not, something is in between.",
            )
        return shown

    def at(self, address: str) -> Machine:
        """Another machine of the same cluster."""
        return Machine(address, talosctl=self.talosctl, talosconfig=self.talosconfig)

    def client(self) -> Talosctl:
        """talosctl as administrator."""
        return Talosctl(self.address, program=self.talosctl, talosconfig=self.talosconfig)

    def maintenance_client(self, fingerprint: str = "") -> Talosctl:
        """talosctl without authentication; ``fingerprint`` pins the certificate where talosctl can do that (apply-config)."""
        return Talosctl(self.address, program=self.talosctl, insecure=True, fingerprint=fingerprint)


def observe(machine: Machine, *, subjects: Sequence[str] = ALL_SUBJECTS, in_maintenance: Sequence[str] = (), deadline: Deadline) -> MachineState:
    """What can be known about the machine now. ``subjects`` are keys of KINDS; those ``in_maintenance`` are read only from a machine that is.

    Raises only CertificateMismatch and what is wrong on our own side; a machine that does not answer is a result.
    """
    shown = machine.probe(deadline=deadline)
    state = MachineState(machine.address, shown.trust, shown.fingerprint, shown.problem)
    if shown.problem or shown.trust not in (machine_tls.OURS, machine_tls.MAINTENANCE):
        return state
    ours = shown.trust == machine_tls.OURS
    client = machine.client() if ours else machine.maintenance_client()
    chosen = dict.fromkeys([*subjects, *(() if ours else in_maintenance)])
    wanted = [kind for subject in chosen for kind in KINDS[subject] if kind != "etcdmember" or ours]
    try:
        found = client.get_all(*wanted, deadline=deadline)
    except (ConnectionFailed, CommandError) as error:
        return _unreadable(state, error)
    except DeadlineExceeded as error:
        # Slow, and what it said it is.
        return MachineState(state.address, state.trust, state.fingerprint, error.what)
    return MachineState(machine.address, shown.trust, shown.fingerprint, **describe(found))


def _unreadable(state: MachineState, error: ConnectionFailed | CommandError) -> MachineState:
    """The handshake went well and the calls did not. In maintenance that means: HTTP/2 over TLS answers, and it is no Talos."""
    if isinstance(error, CommandError):
        # A missing or broken talosctl is our own problem, not the machine's.
        raise error
    trust = state.trust if state.trust == machine_tls.OURS else machine_tls.FOREIGN
    return MachineState(state.address, trust, state.fingerprint, error.what)


def own_link(client: Talosctl, deadline: Deadline) -> str:
    """The link that holds the address by which the machine is reached."""
    try:
        address = socket.getaddrinfo(client.address, None)[0][4][0]
    except OSError as error:
        raise ConnectionFailed("this name does not resolve", where=client.address) from error
    return link_of(str(address), client.get("addresses", deadline=deadline))
