# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May a component go on? By what those that it needs have come to in this run, or by what the cluster has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import Record, RunLog, latest
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

# The records are a local file that other workers append to.
_LOOK_SECONDS = 0.1


class BlockedError(PlatformError):
    """A component that is needed has failed."""


@dataclass(frozen=True)
class Verdict:
    """``waiting`` for these, with the state that each is in; ``blocked`` by one of these, with the reason; both empty: go on."""

    waiting: Mapping[str, str]
    blocked: Mapping[str, str]


def judge(wanted: Sequence[str], records: Mapping[str, Record], *, removing: bool = False) -> Verdict:
    """``wanted`` are components of this run that must be done first; ``records`` the newest one of each.

    With ``removing``, those are components that must be gone first.
    """
    waiting, blocked = {}, {}
    for name in wanted:
        record = records.get(name)
        if record is None:
            waiting[name] = "has not begun"
        elif record.state in ("failed", "blocked"):
            blocked[name] = record.detail or record.state
        elif record.state == ("ready" if removing else "removed"):
            blocked[name] = f"it is {record.state}"
        elif record.state != ("removed" if removing else "ready"):
            waiting[name] = record.state
    return Verdict(waiting, blocked)


def require_present(needs: Sequence[str], in_run: Collection[str], installed: Callable[[str], bool]) -> None:
    """Raises InputError for what is needed, and is neither part of this run nor installed already."""
    missing = [name for name in needs if name not in in_run and not installed(name)]
    if missing:
        names = ", ".join(missing)
        raise InputError(
            f"it needs {names}, and the cluster does not have {'it' if len(missing) == 1 else 'them'}",
            hint=f"Add {names} to --limit, or run playbooks/platform.yml without it.",
        )


def wait(component: str, wanted: Sequence[str], log: RunLog, deadline: Deadline, *, removing: bool = False) -> None:
    """Return when all of ``wanted`` are done in this run. Raises BlockedError as soon as one has failed, DeadlineExceeded otherwise."""
    shown: Mapping[str, str] = {}
    while True:
        verdict = judge(wanted, latest(log.read()), removing=removing)
        if verdict.blocked:
            name, reason = next(iter(verdict.blocked.items()))
            log.record(component, "blocked", f"by {_root(name, latest(log.read()))}")
            raise BlockedError(f"blocked by {name}: {reason}", hint=f"Mend {name} first; then run again, for both or for all.")
        if not verdict.waiting:
            return
        if verdict.waiting != shown:
            shown = verdict.waiting
            progress(f"waiting for {', '.join(f'{name} ({state})' for name, state in shown.items())}")
        deadline.check(f"waited for {', '.join(shown)}", where=component)
        deadline.pause(_LOOK_SECONDS)


def _root(name: str, records: Mapping[str, Record]) -> str:
    """The component that failed, behind those that it blocks."""
    record = records.get(name)
    if record is not None and record.state == "blocked":
        return record.detail.removeprefix("by ")
    return name
