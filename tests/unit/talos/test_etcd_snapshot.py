"""Which member a backup is taken from, which backups go, and a whole backup with a stand-in for talosctl."""

from __future__ import annotations

import io
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest
from bolt_file import database, snapshot

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_snapshot
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdStatus
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import NO_LEADER, EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot import Request, back_up, choose
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_options import check_options
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_seal import Header, seal, unseal
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_store import Directory, backup_name, ours, outdated, work_directory

PASSWORD = "hunter2hunter2"


def view(number: int, **changes: Any) -> EtcdView:
    alarms = changes.pop("alarms", ())
    problem = changes.pop("problem", "")
    status = {"member_id": f"id{number}", "leader": "id1", "db_size": "", "db_in_use": "", "raft_index": 9, "raft_term": 2, "learner": False, "errors": ""}
    return EtcdView(f"192.0.2.1{number}", f"id{number}", (), EtcdStatus(**{**status, **changes}), alarms, problem)


@pytest.mark.parametrize(
    ("views", "chosen"),
    [
        ([view(1), view(2), view(3)], "192.0.2.12"),
        ([view(1), view(2), view(3, raft_index=10)], "192.0.2.13"),
        ([view(1), view(2, learner=True), EtcdView("192.0.2.13", problem="no answer")], "192.0.2.11"),
        ([view(1), view(2, leader=NO_LEADER), view(3)], "192.0.2.13"),
        ([view(1), view(2, alarms=(("id2", "CORRUPT"),)), view(3)], "192.0.2.13"),
        ([view(1), view(2, alarms=(("id2", "NOSPACE"),), errors="alarm:NOSPACE"), view(3, problem="no answer")], "192.0.2.12"),
    ],
)
def test_which_member(views: list[EtcdView], chosen: str) -> None:
    assert choose(views).address == chosen


def test_no_member_is_fit() -> None:
    with pytest.raises(ConnectionFailed, match=r"192\.0\.2\.11: it is not well: it has no leader; 192\.0\.2\.12: no answer"):
        choose([view(1, leader=NO_LEADER), EtcdView("192.0.2.12", problem="no answer")])


def test_names_are_in_the_order_of_their_age() -> None:
    assert backup_name("lab", datetime(2026, 11, 30, 11, 52, tzinfo=UTC)) == "etcd-lab-20261130T115200Z.backup"


NAMES = [
    "etcd-lab-20261130T115200Z.backup",
    "etcd-lab-20261129T115200Z.backup",
    "etcd-lab-2-20261128T115200Z.backup",
    "etcd-lab-20261127T115200Z.backup.part",
    "notes.txt",
    "etcd-lab-20261128T115200Z.backup",
]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [(0, []), (3, []), (2, ["etcd-lab-20261128T115200Z.backup"]), (1, ["etcd-lab-20261128T115200Z.backup", "etcd-lab-20261129T115200Z.backup"])],
)
def test_retention_is_of_this_clusters_backups_alone(keep: int, gone: list[str]) -> None:
    assert outdated(NAMES, "lab", keep=keep) == gone
    assert ours(NAMES, "lab-2") == ["etcd-lab-2-20261128T115200Z.backup"]


def program(directory: Path, data: bytes, body: str = "") -> str:
    """A talosctl whose snapshot is ``data``."""
    (directory / "data").write_bytes(data)
    path = directory / "talosctl"
    path.write_text(
        f"#!{sys.executable}\nimport shutil, sys\n{body}\nassert sys.argv[1:3] == ['etcd', 'snapshot']\nshutil.copy({str(directory / 'data')!r}, sys.argv[3])\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def request(directory: Path, keep: int = 2) -> Request:
    return Request("lab", PASSWORD, str(directory / "backups"), keep, Directory(str(directory / "backups")))


def older(directory: Path, *names: str) -> None:
    (directory / "backups").mkdir(mode=0o700)
    for name in names:
        with (directory / "backups" / name).open("wb") as file:
            seal(io.BytesIO(b"x"), file, Header("lab", "", "", 1, 1, 1), PASSWORD)


@pytest.fixture
def two_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_snapshot, "observe_all", lambda _clients, *, deadline: [view(1), view(2)])


def clients(talosctl: str) -> list[Talosctl]:
    return [Talosctl(f"192.0.2.1{number}", program=talosctl) for number in (1, 2)]


@pytest.mark.usefixtures("two_members")
def test_a_backup(tmp_path: Path) -> None:
    older(tmp_path, "etcd-lab-20261128T115200Z.backup", "etcd-lab-20261129T115200Z.backup")
    strange = tmp_path / "backups" / "etcd-lab-20200101T000000Z.backup"
    strange.write_text("not ours, whatever its name")
    made = back_up(clients(program(tmp_path, snapshot(database()))), request(tmp_path), check_mode=False, deadline=Deadline(300))
    assert made.content is not None
    assert (made.member, made.content.revision, made.content.keys) == ("192.0.2.12", 41, 5)
    assert made.removed == ("etcd-lab-20261128T115200Z.backup",)
    assert sorted(os.listdir(tmp_path / "backups")) == [strange.name, "etcd-lab-20261129T115200Z.backup", made.name]
    stored = tmp_path / "backups" / made.name
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    with stored.open("rb") as sealed, (tmp_path / "plain").open("wb") as plain:
        header = unseal(sealed, plain, PASSWORD, where=made.name)
    assert (tmp_path / "plain").read_bytes() == snapshot(database())
    assert (header.cluster, header.member, header.revision) == ("lab", "192.0.2.12", 41)


@pytest.mark.usefixtures("two_members")
def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    older(tmp_path, "etcd-lab-20261128T115200Z.backup", "etcd-lab-20261129T115200Z.backup")
    made = back_up(clients("/nonexistent"), request(tmp_path), check_mode=True, deadline=Deadline(300))
    assert (made.member, made.content, made.removed) == ("192.0.2.12", None, ("etcd-lab-20261128T115200Z.backup",))
    assert len(os.listdir(tmp_path / "backups")) == 2


@pytest.mark.usefixtures("two_members")
def test_a_torn_snapshot_is_no_backup_and_nothing_older_goes(tmp_path: Path) -> None:
    older(tmp_path, "etcd-lab-20261128T115200Z.backup", "etcd-lab-20261129T115200Z.backup")
    with pytest.raises(InputError, match=r"snapshot of 192.0.2.12: the snapshot's checksum"):
        back_up(clients(program(tmp_path, snapshot(database())[:-512])), request(tmp_path, 1), check_mode=False, deadline=Deadline(300))
    assert sorted(os.listdir(tmp_path / "backups")) == ["etcd-lab-20261128T115200Z.backup", "etcd-lab-20261129T115200Z.backup"]


def test_what_a_killed_run_left_is_removed_and_two_runs_do_not_meet(tmp_path: Path) -> None:
    left = tmp_path / ".etcd-snapshot-left"
    left.mkdir()
    (left / "snapshot").write_text("plain")
    with work_directory(str(tmp_path), Deadline(5)) as directory:
        assert not left.exists()
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        with pytest.raises(DeadlineExceeded, match="another run that uses this directory"), work_directory(str(tmp_path), Deadline(0)):
            pass
    assert os.listdir(tmp_path) == []


def test_a_backup_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old.backup").write_text("old")
    with pytest.raises(RefusedError, match=r"old\.backup: there is a backup of this second already"):
        Directory(str(tmp_path)).put("old.backup", str(tmp_path / "new"))
    assert (tmp_path / "old.backup").read_text() == "old"


def test_a_backup_that_is_not_there(tmp_path: Path) -> None:
    file: IO[bytes]
    with (tmp_path / "target").open("wb") as file, pytest.raises(InputError, match="it cannot be read: No such file"):
        Directory(str(tmp_path)).fetch("none.backup", file)


OPTIONS = {"vault_password": PASSWORD, "keep": 2, "directory": "/x", "bucket": "", "access_key": "", "secret_key": ""}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"vault_password": ""}, ["there is no vault password"]),
        ({"keep": -1}, ["keep is -1"]),
        ({"bucket": "https://s3.example.com/backups", "access_key": "a"}, ["a bucket is given and no secret_key"]),
        ({"bucket": "http://s3.example.com/backups"}, ["is not an https URL", "no access_key and no secret_key"]),
        ({"bucket": "https://s3.example.com", "access_key": "a", "secret_key": "b", "vault_password": ""}, ["no vault password", "names no bucket"]),
        ({"bucket": "https://a:b@s3.example.com/backups", "access_key": "a", "secret_key": "b"}, ["more than host, bucket and prefix"]),
    ],
)
def test_all_that_is_wrong_with_the_options_at_once(changes: dict[str, Any], reasons: list[str]) -> None:
    check_options(OPTIONS)
    with pytest.raises(InputError) as caught:
        check_options({**OPTIONS, **changes})
    assert [reason for reason in reasons if reason not in str(caught.value)] == []
