"""When etcd may be restored, and a restore with stand-ins for the machines."""

from __future__ import annotations

import io
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bolt_file import database, snapshot

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_restore
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap_plan import Place
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import NotReady
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus, Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore import Request, open_backup
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore_plan import Permission, Plan, plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_seal import Header, seal
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_store import Directory, backup_name
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import summarize
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import Handshake

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


class Site:
    """Three control planes that remember what they are told. ``rewrites``: how often etcd writes data again before its machine has rebooted."""

    def __init__(self, *, holding: tuple[str, ...], rewrites: int = 0) -> None:
        self.holding = set(holding)
        self.rewrites = rewrites
        self.boots = dict.fromkeys((M1, M2, M3), 1)
        self.calls: list[tuple[str, ...]] = []
        self.not_ready = 1
        self.failure = ""
        self.snapshot = b""
        self.mode = 0

    def places(self, endpoints: list[Machine], _deadline: Deadline) -> list[Place]:
        return [place(machine.address, has_data=machine.address in self.holding) for machine in endpoints]

    def run(self, address: str, arguments: tuple[str, ...]) -> None:
        self.calls.append((address, *arguments[:2]))
        if arguments[0] == "debug":
            assert arguments[2:] == ("--args=rm", "--args=-rf", "--args=/host/var/lib/etcd/member")
            if self.failure:
                raise CommandError(self.failure, where=address)
            self.holding.discard(address)
        elif arguments[0] in ("reboot", "reset"):
            self.boots[address] += 1
            if arguments[0] == "reset":
                self.holding.discard(address)
            if self.rewrites and address == M1:
                self.rewrites -= 1
                self.holding.add(address)
        elif arguments[0] == "bootstrap":
            if self.not_ready:
                self.not_ready -= 1
                raise NotReady("the machine cannot restore etcd now: bootstrap is not available yet")
            path = Path(arguments[1].removeprefix("--recover-from="))
            self.snapshot, self.mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)


class Machine:
    """One of them."""

    def __init__(self, site: Site, address: str) -> None:
        self.site, self.address = site, address

    def client(self) -> Machine:
        return self

    def probe(self, *, deadline: Deadline) -> Handshake:
        assert not deadline.expired
        return Handshake("ours")

    def get(self, _kind: str, *, deadline: Deadline) -> list[Resource]:
        assert not deadline.expired
        return [Resource("machine", {"stage": "booting"}, "", f"boot {self.site.boots[self.address]}")]

    def watch(self, kind: str, *, deadline: Deadline) -> Any:
        yield from self.get(kind, deadline=deadline)

    def run(self, *arguments: str, **_keywords: Any) -> None:
        self.site.run(self.address, arguments)


def restored(monkeypatch: pytest.MonkeyPatch, directory: Path, site: Site, permission: Permission, *, check_mode: bool = False) -> Any:
    monkeypatch.setattr(etcd_restore.bootstrap, "places", site.places)
    monkeypatch.setattr(etcd_restore.bootstrap, "await_voters", lambda _endpoints, _deadline: WELL)
    monkeypatch.setattr(etcd_restore.etcd, "observe_all", lambda _clients, *, deadline: [])
    monkeypatch.setattr(etcd_restore, "_has_monitor", lambda _machine, _deadline: False)
    monkeypatch.setattr(Deadline, "pause", lambda _self, _seconds: None)
    machines: Any = [Machine(site, address) for address in (M1, M2, M3)]
    request = Request("lab", "hunter2hunter2", str(directory), "latest", Directory(str(directory)), permission)
    return etcd_restore.restore(machines[0], machines, request, check_mode=check_mode, deadline=Deadline(300))


def test_a_restore_from_end_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = stored(tmp_path, 29, snapshot(database()))
    site = Site(holding=(M1, M2, M3))
    done = restored(monkeypatch, tmp_path, site, IMAGE)
    assert done.backup == str(tmp_path / name)
    # On all machines before any reboots.
    assert {call[1] for call in site.calls[:3]} == {"debug"}
    assert sorted(site.calls[3:6]) == [(machine, "reboot", "--wait=false") for machine in (M1, M2, M3)]
    assert [call[:2] for call in site.calls[6:]] == [(M1, "bootstrap"), (M1, "bootstrap")]
    assert site.snapshot == snapshot(database())
    assert site.mode == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_an_image_that_cannot_remove_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored(tmp_path, 29, snapshot(database()))
    site = Site(holding=(M3,))
    site.failure = "could not remove etcd's data: rm: can't stat '/host/var/lib/etcd/member': Permission denied"
    with pytest.raises(CommandError, match=r"Permission denied.*has to run as root"):
        restored(monkeypatch, tmp_path, site, IMAGE)
    assert [call[:2] for call in site.calls] == [(M3, "debug")], "no machine reboots"


def test_an_interrupted_restore_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored(tmp_path, 29, snapshot(database()))
    site = Site(holding=(M3,))
    restored(monkeypatch, tmp_path, site, IMAGE)
    assert [call[:2] for call in site.calls] == [(M3, "debug"), (M3, "reboot"), (M1, "bootstrap"), (M1, "bootstrap")]
    site = Site(holding=())
    restored(monkeypatch, tmp_path, site, NOTHING)
    assert [call[:2] for call in site.calls] == [(M1, "bootstrap"), (M1, "bootstrap")]


def test_ephemeral_is_wiped_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored(tmp_path, 29, snapshot(database()))
    site = Site(holding=(M2,))
    restored(monkeypatch, tmp_path, site, Permission(force=False, image="", wipe=(M1, M2, M3)))
    assert site.calls[0] == (M2, "reset", "--graceful=false")


def test_data_that_comes_back_is_removed_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored(tmp_path, 29, snapshot(database()))
    site = Site(holding=(M1,), rewrites=1)
    restored(monkeypatch, tmp_path, site, IMAGE)
    assert [call[1] for call in site.calls].count("debug") == 2
    site = Site(holding=(M1,), rewrites=9)
    with pytest.raises(RefusedError, match="etcd has written data again"):
        restored(monkeypatch, tmp_path, site, IMAGE)
    assert "bootstrap" not in [call[1] for call in site.calls]


def test_check_mode_touches_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = stored(tmp_path, 29, snapshot(database()))
    site = Site(holding=(M1, M2))
    done = restored(monkeypatch, tmp_path, site, IMAGE, check_mode=True)
    assert done.steps[0] == f"{M1}: etcd's data is removed, the machine reboots"
    assert site.calls == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_backup_that_does_not_open_touches_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored(tmp_path, 29, snapshot(database())[:-512])
    site = Site(holding=(M1, M2, M3))
    with pytest.raises(InputError, match="the snapshot's checksum"):
        restored(monkeypatch, tmp_path, site, IMAGE)
    assert site.calls == []
