"""The boundary: parameters in, outcome out, our exceptions turned into a failed task."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

SPEC = {"name": {"type": "str", "required": True}, "password": {"type": "str", "no_log": True}, "size": {"type": "int", "default": 3}}


@pytest.fixture
def result(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs a module's body with parameters and gives back the result and the exit code."""

    def run(body: Callable[[Task], Outcome], parameters: dict[str, Any], **rules: Any) -> dict[str, Any]:
        with patch_module_args(parameters), pytest.raises(SystemExit) as ending:
            run_module(body, argument_spec=SPEC, **rules)
        return {**json.loads(capsys.readouterr().out), "exit code": ending.value.code}

    return run


def test_parameters_and_modes_come_in(result: Callable[..., dict[str, Any]]) -> None:
    seen: list[Task] = []

    def body(task: Task) -> Outcome:
        seen.append(task)
        return Outcome()

    result(body, {"name": "x", "_ansible_check_mode": True, "_ansible_diff": True})
    assert (seen[0].params["name"], seen[0].params["size"], seen[0].check_mode, seen[0].diff_mode) == ("x", 3, True, True)


def test_an_outcome_goes_out(result: Callable[..., dict[str, Any]]) -> None:
    outcome = Outcome(changed=True, message="done", diff={"before": "a", "after": "b"}, values={"count": 2})
    got = result(lambda task: outcome, {"name": "x"})
    assert (got["changed"], got["msg"], got["count"], got["exit code"]) == (True, "done", 2, 0)
    assert "diff" not in got
    assert result(lambda task: outcome, {"name": "x", "_ansible_diff": True})["diff"] == {"before": "a", "after": "b"}


def test_our_error_becomes_a_failure_with_its_details(result: Callable[..., dict[str, Any]]) -> None:
    def body(task: Task) -> Outcome:
        raise RefusedError("it holds foreign data", where="m1: /dev/sda", hint="Choose another disk.", details={"disk": "sda"})

    got = result(body, {"name": "x"})
    assert (got["failed"], got["exit code"], got["disk"]) == (True, 1, "sda")
    assert got["msg"] == "m1: /dev/sda: it holds foreign data. Choose another disk."


def test_secrets_are_masked_in_what_goes_out(result: Callable[..., dict[str, Any]]) -> None:
    def body(task: Task) -> Outcome:
        raise PlatformError(f"cannot decrypt with {task.params['password']}")

    assert "hunter2" not in json.dumps(result(body, {"name": "x", "password": "hunter2hunter2"}))


def test_hidden_parts_of_parameters_are_masked(result: Callable[..., dict[str, Any]]) -> None:
    got = result(lambda task: Outcome(message=f"name is {task.params['name']}"), {"name": "hunter2hunter2"}, hide=lambda params: [params["name"]])
    assert "hunter2" not in json.dumps(got)


@pytest.mark.parametrize("fails", [False, True])
def test_parameters_are_printed_as_they_may_be_shown(result: Callable[..., dict[str, Any]], fails: bool) -> None:
    def body(task: Task) -> Outcome:
        if fails:
            raise PlatformError("it broke")
        return Outcome()

    assert "a text" not in json.dumps(result(body, {"name": "a text"}, show=lambda params: {**params, "name": "<hidden>"}))


def test_rules_are_ansibles(result: Callable[..., dict[str, Any]]) -> None:
    got = result(lambda task: Outcome(), {"name": "x"}, required_together=[("name", "password")])
    assert "parameters are required together: name, password" in got["msg"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PlatformError("it broke."), "it broke."),
        (PlatformError("it broke", where="m1"), "m1: it broke."),
        (PlatformError("it broke", hint="Mend it."), "it broke. Mend it."),
    ],
)
def test_errors_read_like_sentences(error: PlatformError, text: str) -> None:
    assert str(error) == text
