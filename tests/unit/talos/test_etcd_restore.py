"""When etcd may be restored, and a restore with stand-ins for the machines."""

from __future__ import annotations

import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bolt_file import database, snapshot

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap_plan import Place
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore import Request, open_backup
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore_plan import Permission, Plan, plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_seal import Header, seal
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_store import Directory, backup_name
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import summarize

M1, M2, M3 = "192.0.2.11", "192.0.2.12", "192.0.2.13"
NOTHING = Permission(force=False, image="", wipe=())
IMAGE = Permission(force=False, image="busybox", wipe=())
MEMBERS = tuple(EtcdMember(f"id{number}", f"m{number}", (), (), False) for number in (1, 2, 3))


def place(address: str, **changes: Any) -> Place:
    return Place(**{"address": address, "trust": "ours", **changes})


def view(number: int) -> EtcdView:
    return EtcdView(f"192.0.2.1{number}", f"id{number}", MEMBERS, EtcdStatus(f"id{number}", "id1", "", "", 9, 2, False, ""))


EMPTY = [place(M1), place(M2), place(M3)]
HOLDING = [place(M1, has_data=True), place(M2), place(M3, has_data=True)]
DEAD = summarize([])
WELL = summarize([view(1), view(2), view(3)])
TORN = summarize([view(1)])


@pytest.mark.parametrize(
    ("places", "summary", "permission", "todo"),
    [
        (EMPTY, DEAD, NOTHING, Plan((), (), M1)),
        (HOLDING, DEAD, IMAGE, Plan((M1, M3), (), M1)),
        (HOLDING, TORN, IMAGE, Plan((M1, M3), (), M1)),
        (HOLDING, DEAD, Permission(False, "", (M1, M2, M3)), Plan((), (M1, M3), M1)),
        (HOLDING, DEAD, Permission(False, "busybox", (M1,)), Plan((M1, M3), (), M1)),
        (HOLDING, WELL, Permission(True, "busybox", ()), Plan((M1, M3), (), M1)),
        ([place(M1), place(M2, trust="maintenance"), place(M3, trust="maintenance")], DEAD, NOTHING, Plan((), (), M1)),
    ],
)
def test_what_is_done(places: list[Place], summary: Any, permission: Permission, todo: Plan) -> None:
    assert plan(M1, places, [], summary, permission) == todo


@pytest.mark.parametrize(
    ("places", "monitors", "summary", "permission", "reasons"),
    [
        (HOLDING, [], WELL, IMAGE, ["etcd works (m1, m2, m3), and everything since the backup would be lost"]),
        (HOLDING, [], DEAD, NOTHING, [f"etcd has data on {M1}, {M3}, which has to go"]),
        (HOLDING, [], DEAD, Permission(False, "", (M1,)), [f"etcd has data on {M3}, which has to go"]),
        (HOLDING, [M3], DEAD, Permission(False, "", (M1, M3)), [f"{M3}: EPHEMERAL holds the data of a monitor of Ceph"]),
        ([place(M1, trust="maintenance"), place(M2), place(M3)], [], DEAD, NOTHING, [f"{M1} is in maintenance mode"]),
        ([place(M1), place(M2, trust="unreachable", problem="no answer"), place(M3)], [], DEAD, NOTHING, [f"{M2} cannot be asked for etcd's data (no answer)"]),
        ([place(M1), place(M2, trust="foreign")], [], DEAD, NOTHING, [f"{M2} cannot be asked for etcd's data (the machine is foreign)"]),
        ([place(M2), place(M3)], [], DEAD, NOTHING, [f"{M1} is none of the control planes"]),
        (
            [place(M1, has_data=True), place(M2, trust="unreachable", problem="no answer"), place(M3, has_data=True)],
            [],
            WELL,
            NOTHING,
            ["etcd works", f"{M2} cannot be asked", f"etcd has data on {M1}, {M3}"],
        ),
    ],
)
def test_all_that_is_against_it_at_once(places: list[Place], monitors: list[str], summary: Any, permission: Permission, reasons: list[str]) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(M1, places, monitors, summary, permission)
    assert [reason for reason in reasons if reason not in str(caught.value)] == []
    assert "Nothing was touched" in str(caught.value)


def stored(directory: Path, day: int, data: bytes, cluster: str = "lab") -> str:
    name = backup_name("lab", datetime(2026, 11, day, tzinfo=UTC))
    with (directory / name).open("wb") as file:
        seal(io.BytesIO(data), file, Header(cluster, f"day {day}", M2, 41, 5, len(data)), "hunter2hunter2")
    return name


def opened(directory: Path, backup: str) -> tuple[str, Header, bytes]:
    request = Request("lab", "hunter2hunter2", str(directory), backup, Directory(str(directory)), NOTHING)
    with tempfile.TemporaryFile(dir=directory) as plain:
        where, header = open_backup(request, str(directory), plain)
        plain.seek(0)
        return where, header, plain.read()


def test_the_latest_one_is_opened(tmp_path: Path) -> None:
    stored(tmp_path, 28, snapshot(database()))
    name = stored(tmp_path, 29, snapshot(database()))
    assert opened(tmp_path, "latest") == (str(tmp_path / name), Header("lab", "day 29", M2, 41, 5, len(snapshot(database()))), snapshot(database()))


def test_one_by_its_name_or_path(tmp_path: Path) -> None:
    name = stored(tmp_path, 28, snapshot(database()))
    stored(tmp_path, 29, snapshot(database()))
    assert opened(tmp_path, name)[1].taken == "day 28"
    assert opened(tmp_path, str(tmp_path / name))[1].taken == "day 28"


def test_what_cannot_be_restored(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no backup of lab"):
        opened(tmp_path, "latest")
    stored(tmp_path, 27, snapshot(database()), cluster="other")
    with pytest.raises(RefusedError, match="the backup is of the cluster other, not of lab"):
        opened(tmp_path, "latest")
    stored(tmp_path, 28, snapshot(database())[:-512])
    with pytest.raises(InputError, match="the snapshot's checksum"):
        opened(tmp_path, "latest")
    with pytest.raises(InputError, match="is not the name of a backup of lab"):
        opened(tmp_path, "../etcd-lab-20261128T000000Z.backup")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        opened(tmp_path, str(tmp_path / "none.backup"))
