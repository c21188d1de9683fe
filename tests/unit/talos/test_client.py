"""The calls of talosctl, with a stand-in program that does what each test says."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl, private_file
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import NotReady, Unreachable

STATUS = {"metadata": {"id": "machine", "created": "2026-11-24T13:17:04Z"}, "spec": {"stage": "booting"}}
REFUSED = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 192.0.2.11:50000: connect: connection refused"'
)


def program(directory: Path, body: str) -> str:
    """A talosctl that runs this Python code."""
    path = directory / "talosctl"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_endpoint_is_always_the_machine(tmp_path: Path) -> None:
    config = tmp_path / "talosconfig"
    config.touch()
    argv = Talosctl("192.0.2.11", program="talosctl", talosconfig=str(config)).argv("services")
    assert argv == ["talosctl", "services", "--nodes", "192.0.2.11", "--endpoints", "192.0.2.11", "--talosconfig", str(config)]
    assert Talosctl("192.0.2.11", insecure=True).argv("version") == ["talosctl", "version", "--nodes", "192.0.2.11", "--insecure"]


def test_without_a_talosconfig_none_of_the_user_is_taken() -> None:
    assert Talosctl("192.0.2.11").argv("version")[-1] == os.devnull
    # talosctl would make an empty file there.
    assert Talosctl("192.0.2.11", talosconfig="/no/such/talosconfig").argv("version")[-1] == os.devnull


def test_get(tmp_path: Path) -> None:
    client = Talosctl("192.0.2.11", program=program(tmp_path, f"print(json.dumps({STATUS!r}, indent=4))"))
    (found,) = client.get("machinestatus", deadline=Deadline(300))
    assert found.spec == {"stage": "booting"}


def test_an_unknown_kind_is_an_empty_list(tmp_path: Path) -> None:
    body = "sys.stderr.write('rpc error: code = NotFound desc = resource \"x\" is not registered'); sys.exit(1)"
    assert Talosctl("192.0.2.11", program=program(tmp_path, body)).get("x", deadline=Deadline(300)) == []


def test_several_kinds_at_once(tmp_path: Path) -> None:
    body = 'print(json.dumps({"metadata": {"id": sys.argv[2]}, "spec": {}}, indent=4))'
    found = Talosctl("192.0.2.11", program=program(tmp_path, body)).get_all("a", "b", "c", deadline=Deadline(300))
    assert {kind: [item.id for item in items] for kind, items in found.items()} == {"a": ["a"], "b": ["b"], "c": ["c"]}


def test_a_failure_is_explained(tmp_path: Path) -> None:
    client = Talosctl("192.0.2.11", program=program(tmp_path, f"sys.stderr.write({REFUSED!r}); sys.exit(1)"))
    with pytest.raises(Unreachable, match="nothing listens"):
        client.run("version", action="read the version", deadline=Deadline(300))


def test_what_a_call_printed_tells_why_it_failed_where_it_is_no_secret(tmp_path: Path) -> None:
    client = Talosctl("192.0.2.11", program=program(tmp_path, "print('rm: no'); sys.stderr.write('container exited with code 1'); sys.exit(1)"))
    with pytest.raises(CommandError, match="could not remove it: rm: no container exited with code 1"):
        client.run("debug", action="remove it", deadline=Deadline(300), printed=True)
    with pytest.raises(CommandError, match="could not remove it: container exited with code 1"):
        client.run("debug", action="remove it", deadline=Deadline(300))


def test_a_call_that_hangs_is_cut_off(tmp_path: Path) -> None:
    client = Talosctl("192.0.2.11", program=program(tmp_path, "time.sleep(60)"))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="read etcd members"):
        client.run("etcd", "members", action="read etcd members", deadline=Deadline(300), seconds=0.3)
    assert time.monotonic() - started < 5


def test_no_call_after_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded):
        Talosctl("192.0.2.11", program=program(tmp_path, "")).run("version", action="read the version", deadline=Deadline(0))


def test_a_missing_program_is_said() -> None:
    with pytest.raises(CommandError, match="not found"):
        Talosctl("192.0.2.11", program="/no/such/talosctl").run("version", action="read the version", deadline=Deadline(5))


def test_a_watch_gives_what_is_then_ticks_and_ends_at_its_deadline(tmp_path: Path) -> None:
    client = Talosctl("192.0.2.11", program=program(tmp_path, f"print(json.dumps({STATUS!r}, indent=4), flush=True); time.sleep(60)"))
    events = list(client.watch("machinestatus", deadline=Deadline(1.5), tick=0.2))
    assert events[0] is not None or None in events[:6]
    assert [event.spec["stage"] for event in events if event is not None] == ["booting"]
    assert events.count(None) >= 2


def test_a_watch_that_breaks_says_why(tmp_path: Path) -> None:
    body = f"print(json.dumps({STATUS!r}, indent=4), flush=True); sys.stderr.write({REFUSED!r}); sys.exit(1)"
    watch = Talosctl("192.0.2.11", program=program(tmp_path, body)).watch("machinestatus", deadline=Deadline(300))
    assert next(event for event in watch if event is not None).id == "machine"
    with pytest.raises(Unreachable, match="nothing listens"):
        list(watch)


def test_a_watch_that_is_left_ends_its_program(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    body = f"open({str(marker)!r}, 'w').write(str(os.getpid())); print(json.dumps({STATUS!r}, indent=4), flush=True); time.sleep(60)"
    watch = Talosctl("192.0.2.11", program=program(tmp_path, body)).watch("machinestatus", deadline=Deadline(300))
    next(event for event in watch if event is not None)
    watch.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


@pytest.mark.parametrize(("insecure", "fingerprint", "pinned"), [(True, "AAAA=", True), (True, "", False), (False, "AAAA=", False)])
def test_applying_a_configuration(tmp_path: Path, insecure: bool, fingerprint: str, pinned: bool) -> None:
    body = """
path = sys.argv[sys.argv.index("--file") + 1]
seen = {"argv": sys.argv[1:], "text": open(path).read(), "mode": oct(os.stat(path).st_mode & 0o777)}
sys.stderr.write(json.dumps(seen))
"""
    client = Talosctl("192.0.2.11", program=program(tmp_path, body), insecure=insecure, fingerprint=fingerprint)
    seen = json.loads(client.apply_config("version: v1alpha1\n", mode="no-reboot", dry_run=True, deadline=Deadline(300)))
    assert seen["text"] == "version: v1alpha1\n"
    assert seen["mode"] == "0o600"
    assert "--dry-run" in seen["argv"]
    assert ("--cert-fingerprint" in seen["argv"]) is pinned
    assert not Path(seen["argv"][seen["argv"].index("--file") + 1]).exists()


def test_another_apply_in_progress(tmp_path: Path) -> None:
    body = "sys.stderr.write('rpc error: code = FailedPrecondition desc = another apply configuration is already in progress'); sys.exit(1)"
    with pytest.raises(NotReady):
        Talosctl("192.0.2.11", program=program(tmp_path, body)).apply_config("x", mode="auto", dry_run=False, deadline=Deadline(300))


def test_a_private_file_is_gone_after_an_error() -> None:
    with pytest.raises(KeyError), private_file("secret") as path:
        raise KeyError
    assert not Path(path).exists()
