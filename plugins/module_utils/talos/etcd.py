# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd as its members see it, asked one by one and all at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.talos import client_output
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus

# etcd answers in milliseconds or, without quorum, not at all.
ANSWER_SECONDS = 5.0
NO_LEADER = "0" * 16


@dataclass(frozen=True)
class EtcdView:
    """What one control plane says of etcd.

    ``member_id`` is empty when the machine has no member that answers; ``problem`` says why something of it cannot be read.
    """

    address: str
    member_id: str = ""
    members: tuple[EtcdMember, ...] = ()
    status: EtcdStatus | None = None
    alarms: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    @property
    def healthy(self) -> bool:
        """Whether its member answers, has a leader, and reports no error."""
        return self.status is not None and not self.problem and not self.status.errors and self.status.leader != NO_LEADER


def observe_etcd(client: Talosctl, *, alarms: bool = True, deadline: Deadline) -> EtcdView:
    """The view of one machine; ``alarms`` are a call of their own. Never raises for a machine or an etcd that does not answer."""
    try:
        if not is_started(client, deadline=deadline):
            return EtcdView(client.address, problem="it has no running etcd member")
        with ThreadPoolExecutor(max_workers=3) as pool:
            questions = [("status",), ("members",), *([("alarm", "list")] if alarms else [])]
            calls = [pool.submit(_ask, client, words, deadline) for words in questions]
            (status_text, problem), *others = (call.result() for call in calls)
        status = client_output.parse_etcd_status(status_text)
        members = client_output.parse_etcd_members(others[0][0])
        raised = client_output.parse_etcd_alarms(others[1][0]) if alarms else []
    except (ConnectionFailed, CommandError) as error:
        return EtcdView(client.address, problem=error.what)
    # A learner tells its status and refuses everything else.
    problem = problem or next((text for _output, text in others if text), "")
    return EtcdView(client.address, status.member_id if status else "", tuple(members), status, tuple(raised), problem)


def is_started(client: Talosctl, *, deadline: Deadline) -> bool:
    """Whether etcd runs there, healthy or not. Where it does not, every question to it hangs until it is cut off. Raises when the machine does not answer.

    Talos's resource EtcdMember would tell too, but only with the next health check, up to 20 s later.
    """
    return any(service.id == "etcd" and service.state == "Running" for service in client.services(deadline=deadline))


def _ask(client: Talosctl, words: Sequence[str], deadline: Deadline) -> tuple[str, str]:
    """What etcd answers, and why it does not."""
    try:
        return client.run("etcd", *words, action=f"read etcd {words[0]}", deadline=deadline, seconds=ANSWER_SECONDS).stdout, ""
    except (ConnectionFailed, CommandError) as error:
        return "", error.what


def observe_all(clients: Sequence[Talosctl], *, deadline: Deadline) -> list[EtcdView]:
    """The views of all control planes, asked at once."""
    with ThreadPoolExecutor(max_workers=max(1, len(clients))) as pool:
        return list(pool.map(lambda client: observe_etcd(client, deadline=deadline), clients))


def list_members(clients: Sequence[Talosctl], *, deadline: Deadline) -> list[EtcdMember]:
    """The members of etcd as the first one of these machines that answers sees them; none when none does. Two calls in most cases."""
    for client in clients:
        try:
            if is_started(client, deadline=deadline):
                listed = client.run("etcd", "members", action="read etcd members", deadline=deadline, seconds=ANSWER_SECONDS)
                return client_output.parse_etcd_members(listed.stdout)
        except PlatformError:
            continue
    return []


def has_data(client: Talosctl, *, deadline: Deadline) -> bool:
    """Whether etcd's data directory on the machine holds anything. Talos itself decides by this whether it may bootstrap. Raises when it cannot be read."""
    listed = client.run("list", "/var/lib/etcd", action="look for etcd's data", deadline=deadline)
    return bool(client_output.parse_names(listed.stdout))
