# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the user's own: commands. Jobs are tested in tests/contract/test_gate.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.gate import user_checks
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.user_checks import Command, Job, UserChecks
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy

SOURCES = Sources(Policy(planned_loss="192.0.2.12"), talosconfig="/c/talosconfig", kubeconfig="/c/kubeconfig")


def python(text: str, seconds: float = 20) -> Command:
    return Command("mine", [sys.executable, "-c", text], seconds)


@pytest.mark.parametrize(
    ("check", "state", "seen", "problem"),
    [
        pytest.param(python("print('one'); print('two')"), "passed", "two", "", id="well"),
        pytest.param(python(""), "passed", "exit code 0", "", id="well, without a word"),
        pytest.param(
            python("import sys; print('no', file=sys.stderr); sys.exit('backups are old')"),
            "FAILED",
            "exit code 1",
            "exit code 1: no / backups are old",
            id="it fails",
        ),
        pytest.param(
            python("print('told on the wrong stream'); raise SystemExit(3)"), "FAILED", "exit code 3", "exit code 3: told on the wrong stream", id="no stderr"
        ),
        pytest.param(python("raise SystemExit(3)"), "FAILED", "exit code 3", "exit code 3", id="without a word"),
        pytest.param(python("import time; time.sleep(60)", 0.3), "FAILED", "did not end", "did not end within 0 s", id="it hangs"),
        pytest.param(Command("mine", ["/nonexistent/program"], 5), "FAILED", "did not start", "the program '/nonexistent/program' was not found", id="missing"),
    ],
)
def test_a_command(check: Command, state: str, seen: str, problem: str) -> None:
    result = user_checks.run(check, SOURCES, Deadline(300))
    assert (result.check, result.state, result.seen) == ("command mine", state, seen)
    assert [finding.problem for finding in result.findings] == ([] if not problem else [result.findings[0].problem])
    if problem:
        assert problem in result.findings[0].problem


def test_a_command_is_told_where_the_cluster_is() -> None:
    names = ["KUBECONFIG", "TALOSCONFIG", "TRINODE_GATE_PLANNED_LOSS"]
    result = user_checks.run(python(f"import os; print(*(os.environ[name] for name in {names}))"), SOURCES, Deadline(300))
    assert result.seen == "/c/kubeconfig /c/talosconfig 192.0.2.12"


def test_they_run_when_all_others_pass_and_once_until_something_else_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    own = UserChecks([python(f"open({str(log)!r}, 'a').write('x')")])
    assert [result.state for result in own.look(SOURCES, Deadline(300), others_pass=False)] == ["not run"]
    for _look in range(2):
        assert [result.state for result in own.look(SOURCES, Deadline(300), others_pass=True)] == ["passed"]
    assert log.read_text() == "x"
    own.look(SOURCES, Deadline(300), others_pass=False)
    own.look(SOURCES, Deadline(300), others_pass=True)
    assert log.read_text() == "xx"


def test_one_that_failed_runs_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    own = UserChecks([python(f"open({str(log)!r}, 'a').write('x'); raise SystemExit(1)")])
    for _look in range(3):
        assert [result.state for result in own.look(SOURCES, Deadline(300), others_pass=True)] == ["FAILED"]
    assert log.read_text() == "x"
    monkeypatch.setattr(user_checks, "AGAIN_SECONDS", 0.0)
    own = UserChecks([python(f"open({str(log)!r}, 'a').write('x'); raise SystemExit(1)")])
    for _look in range(2):
        own.look(SOURCES, Deadline(300), others_pass=True)
    assert log.read_text() == "xxx"
    assert [result.seen for result in own.look(SOURCES, Deadline(1), others_pass=True)] == ["exit code 1"], "no time is left to run it"
    assert log.read_text() == "xxx"


def test_in_check_mode_nothing_runs(tmp_path: Path) -> None:
    own = UserChecks([python(f"open({str(tmp_path / 'log')!r}, 'w')"), Job("x", "default", {}, 5)], allowed=False)
    results = own.look(SOURCES, Deadline(300), others_pass=True)
    assert [(result.check, result.state, result.seen) for result in results] == [
        ("command mine", "not run", "is not run in check mode"),
        ("job x", "not run", "is not run in check mode"),
    ]
    assert not (tmp_path / "log").exists()


def test_a_job_gets_a_name_of_its_own_and_an_end() -> None:
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": []}}, "backoffLimit": 2}}
    made = user_checks.manifest(Job("smoke", "default", {"kind": "Job", "metadata": {"name": "mine", "labels": {"a": "b"}}, **template}, 90))
    assert made["metadata"] == {"generateName": "gate-smoke-", "labels": {"a": "b", user_checks.LABEL: "true"}}
    assert made["spec"] == {**template["spec"], "activeDeadlineSeconds": 90, "ttlSecondsAfterFinished": 600}
    with pytest.raises(InputError, match="a manifest of kind Pod where a Job is needed"):
        user_checks.manifest(Job("smoke", "default", {"kind": "Pod"}, 90))
