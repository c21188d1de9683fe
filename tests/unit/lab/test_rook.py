"""What the lab's double of Rook decides."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOK = Path(__file__).resolve().parents[2] / "lab" / "rook"


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The double's modules have names of their own only within its directory."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOK))
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOK)):
            del sys.modules[name]


QUIET = {"draining-failure-domain": "", "set-no-out": ""}
DRAIN = {"draining-failure-domain": "m2", "set-no-out": "true", "draining-failure-domain-duration": "100"}
LOSS = {"draining-failure-domain": "m2", "set-no-out": "", "draining-failure-domain-duration": "100"}


@pytest.mark.parametrize(
    ("state", "hosts", "clean", "now", "expected"),
    [
        pytest.param({}, ([], set()), True, 100, QUIET, id="nothing is wrong"),
        pytest.param({}, (["m2"], {"m2"}), False, 100, DRAIN, id="a drain"),
        pytest.param({}, (["m2"], set()), False, 100, LOSS, id="a loss, without a drain"),
        pytest.param({}, (["m1", "m2"], {"m2"}), False, 100, DRAIN, id="the drained one before the lost one"),
        pytest.param(DRAIN, (["m2"], {"m2"}), True, 130, DRAIN, id="clean too soon after a drain is not believed"),
        pytest.param(DRAIN, (["m2"], {"m2"}), True, 161, QUIET, id="clean for good: the OSDs are replaced"),
        pytest.param(DRAIN, ([], set()), False, 130, DRAIN, id="OSDs are back, their data is not"),
        pytest.param(DRAIN, ([], set()), True, 130, QUIET, id="all is back"),
        pytest.param(DRAIN, (["m2", "m3"], {"m2"}), False, 130, DRAIN, id="another is lost during a drain"),
        pytest.param({}, ([], set()), False, 100, QUIET, id="not clean for another reason"),
    ],
)
def test_which_machine_may_go_down(state: dict[str, str], hosts: tuple[list[str], set[str]], clean: bool, now: float, expected: dict[str, str]) -> None:
    from budgets import decide

    down, cordoned = hosts
    assert decide(dict(state), down, cordoned, clean=clean, now=now) == expected


def test_what_a_node_says_goes_before_the_whole_section() -> None:
    from storage import _selection

    section = {"config": {"osdsPerDevice": "2", "deviceClass": "ssd"}, "devicePathFilter": "^/dev/disk/by-id/nvme-"}
    node = {"name": "m1", "config": {"deviceClass": "nvme"}, "devices": [{"name": "sdb"}, {"name": "/dev/x", "config": {"osdsPerDevice": 1}}]}
    assert _selection("f", section, node) == {
        "fsid": "f",
        "devices": [{"name": "sdb", "class": "nvme", "count": 2, "metadata": ""}, {"name": "/dev/x", "class": "nvme", "count": 1, "metadata": ""}],
        "default": {"class": "nvme", "count": 2, "metadata": ""},
        "filter": None,
        "path_filter": "^/dev/disk/by-id/nvme-",
        "all": False,
    }


def test_a_disk_is_asked_for_by_every_name_that_it_has(tmp_path: Path) -> None:
    from disks import Disk

    file = tmp_path / "OSD1"
    file.write_bytes(b"bluestore block device\n0e2d3c1a-0000-4000-8000-000000000001\n")
    disk = Disk("sdb", "LAB-M1-OSD1", "MODEL", file, ("ata-MODEL_LAB-M1-OSD1", "wwn-0x5"), rotational=False, failed=False)
    assert {"sdb", "/dev/sdb", "/dev/disk/by-id/ata-MODEL_LAB-M1-OSD1", "/dev/disk/by-id/wwn-0x5"} <= disk.names
    assert disk.link == "/dev/disk/by-id/ata-MODEL_LAB-M1-OSD1"
    assert disk.owner() == "0e2d3c1a-0000-4000-8000-000000000001"
    file.write_bytes(b"\0" * 4096)
    assert disk.owner() == ""


def test_a_key_is_one_of_cephx() -> None:
    from monitors import new_key

    content = base64.b64decode(new_key())
    assert content[:2] == b"\x01\x00"
    assert len(content) == 12 + 16
    assert int.from_bytes(content[10:12], "little") == 16
