# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component import needs
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import Record, RunLog, latest
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError


def records(**states: str) -> dict[str, Record]:
    return {name: Record(name, state, 0.0, f"{name} is so") for name, state in states.items()}


@pytest.mark.parametrize(
    ("wanted", "states", "removing", "waiting", "blocked"),
    [
        ([], {}, False, set(), set()),
        (["a"], {}, False, {"a"}, set()),
        (["a"], {"a": "applying"}, False, {"a"}, set()),
        (["a", "b"], {"a": "ready", "b": "ready"}, False, set(), set()),
        (["a", "b"], {"a": "ready", "b": "failed"}, False, set(), {"b"}),
        (["a"], {"a": "blocked"}, False, set(), {"a"}),
        (["a"], {"a": "removed"}, False, set(), {"a"}),
        (["a"], {"a": "removed"}, True, set(), set()),
        (["a"], {"a": "ready"}, True, set(), {"a"}),
        (["a"], {"a": "waiting"}, True, {"a"}, set()),
    ],
)
def test_verdict(wanted: list[str], states: dict[str, str], removing: bool, waiting: set[str], blocked: set[str]) -> None:
    verdict = needs.judge(wanted, records(**states), removing=removing)
    assert (set(verdict.waiting), set(verdict.blocked)) == (waiting, blocked)


def test_what_is_not_in_the_run_must_be_installed() -> None:
    needs.require_present(["a", "b"], {"a"}, lambda name: name == "b")
    with pytest.raises(InputError, match="needs b, c, and the cluster does not have them"):
        needs.require_present(["a", "b", "c"], {"a"}, lambda _name: False)


def test_a_component_waits_until_another_worker_says_ready(tmp_path: Path) -> None:
    RunLog(str(tmp_path)).record("a", "applying")
    worker = threading.Timer(0.15, lambda: RunLog(str(tmp_path)).record("a", "ready"))
    worker.start()
    needs.wait("b", ["a"], RunLog(str(tmp_path)), Deadline(300))
    worker.join()
    assert latest(RunLog(str(tmp_path)).read())["a"].state == "ready"


def test_a_failure_blocks_at_once_and_the_next_one_names_its_root(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path))
    log.record("a", "failed", "its image cannot be pulled")
    with pytest.raises(needs.BlockedError, match="blocked by a: its image cannot be pulled"):
        needs.wait("b", ["a"], log, Deadline(300))
    with pytest.raises(needs.BlockedError, match="blocked by b: by a"):
        needs.wait("c", ["b"], log, Deadline(300))
    assert latest(log.read())["c"].detail == "by a"


def test_a_wait_ends_with_its_deadline(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded, match="waited for a"):
        needs.wait("b", ["a"], RunLog(str(tmp_path)), Deadline(0.2))


def test_without_a_directory_nothing_is_kept() -> None:
    RunLog("").record("a", "ready")
    assert RunLog("").read() == []


def test_records_of_many_workers_stay_whole(tmp_path: Path) -> None:
    def work(name: str) -> None:
        for number in range(50):
            RunLog(str(tmp_path)).record(name, "applying", f"{number} " + "x" * 500)

    workers = [threading.Thread(target=work, args=(f"c{number}",)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = RunLog(str(tmp_path)).read()
    assert len(found) == 400
    assert all(record.detail.endswith("x" * 500) for record in found)
