"""The parts of the in-process action that can be looked at alone; tests/contract/test_in_process.py shows the whole."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import basic

from ansible_collections.trinode.platform.plugins.action import in_process


def ordinary_because(variables: dict[str, Any] | None = None, **changes: Any) -> str:
    settings = {"transport": "local", "become": None, "async_val": 0, "delegate_to": None, **changes}
    action = in_process.ActionModule.__new__(in_process.ActionModule)
    action._connection = SimpleNamespace(transport=settings["transport"], become=settings["become"])
    action._task = SimpleNamespace(async_val=settings["async_val"], delegate_to=settings["delegate_to"])
    action._templar = SimpleNamespace(template=lambda value: value)
    return action._ordinary_because(variables or {})


def test_a_plain_local_task_runs_here() -> None:
    assert ordinary_because() == ""
    assert ordinary_because({"ansible_python_interpreter": sys.executable}) == ""
    assert ordinary_because({"ansible_python_interpreter": "auto"}) == ""


@pytest.mark.parametrize(
    ("reason", "variables", "changes"),
    [
        ("its connection is ssh", {}, {"transport": "ssh"}),
        ("it becomes another user", {}, {"become": object()}),
        ("it is asynchronous", {}, {"async_val": 5}),
        ("trinode_in_process is false", {"trinode_in_process": "no"}, {}),
        ("its Python is /usr/bin/other", {"ansible_python_interpreter": "/usr/bin/other"}, {}),
        (
            "its Python is /usr/bin/other",
            {"ansible_delegated_vars": {"there": {"ansible_python_interpreter": "/usr/bin/other"}}},
            {"delegate_to": "there"},
        ),
    ],
)
def test_what_sends_a_task_the_ordinary_way(reason: str, variables: dict[str, Any], changes: dict[str, Any]) -> None:
    assert ordinary_because(variables, **changes) == reason


def test_the_switch_in_the_environment_gives_way_to_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINODE_IN_PROCESS", "0")
    assert ordinary_because() == "trinode_in_process is false"
    assert ordinary_because({"trinode_in_process": True}) == ""


def test_another_environment_of_the_same_python_is_another_python(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(os.path.realpath(sys.executable))
    assert in_process._is_this_python(sys.executable)
    assert not in_process._is_this_python(str(link))


def test_surroundings_are_as_before_whatever_happened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRINODE_KEPT", "kept")
    directory, arguments = os.getcwd(), basic._ANSIBLE_ARGS
    ended: list[str] = []
    with contextlib.suppress(RuntimeError), in_process._surroundings({"TRINODE_SET": 1}, str(tmp_path)):
        assert os.environ["TRINODE_SET"] == "1"
        assert os.getcwd() == str(tmp_path)
        os.environ["TRINODE_LEAK"] = "leak"
        del os.environ["TRINODE_KEPT"]
        basic._ANSIBLE_ARGS = b"{}"
        basic.atexit.register(ended.append, "removed")
        raise RuntimeError("x")
    assert ended == ["removed"]
    assert os.getcwd() == directory
    assert basic._ANSIBLE_ARGS is arguments
    assert os.environ["TRINODE_KEPT"] == "kept"
    assert not {"TRINODE_SET", "TRINODE_LEAK"} & set(os.environ)


@pytest.mark.parametrize(("wanted", "terminal", "watched"), [("", True, True), ("", False, False), ("1", False, True), ("0", True, False)])
def test_who_is_shown_progress(monkeypatch: pytest.MonkeyPatch, wanted: str, terminal: bool, watched: bool) -> None:
    monkeypatch.setenv("TRINODE_PROGRESS", wanted)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert in_process._watched() is watched
