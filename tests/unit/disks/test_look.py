# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of disks, as Ceph and the kernel write them, and what follows. The lab's writers write them, and ceph-osd where it is there."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from disk_samples import disk
from trinode_lab import foreign
from trinode_lab import signatures as writers

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks import reader, signatures
from ansible_collections.trinode.platform.plugins.module_utils.disks.choose import facts
from ansible_collections.trinode.platform.plugins.module_utils.disks.look import Bytes, Candidate, Cluster, Seen, candidates, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.signatures import Label, Raid, described
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError

GIB = 1 << 30
SIZE = 12 * GIB
FSID = "4f837007-7f6a-4d68-aec9-e8e70be5d303"
OTHER = "aaaaaaaa-7f6a-4d68-aec9-e8e70be5d303"
Write = Callable[[Path], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "disk"
    with file.open("wb") as handle:
        handle.truncate(SIZE)
    return file


def read(path: Path) -> dict[int, bytes]:
    """What the pod reads, without a pod."""
    with path.open("rb") as file:
        blocks = {}
        for offset in signatures.places(path.stat().st_size):
            file.seek(offset)
            blocks[offset] = file.read(signatures.BLOCK)
        return blocks


def put(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def label(fsid: str = OTHER, osd: str = "3") -> bytes:
    meta = {"ceph_fsid": fsid, "whoami": osd, "kv_backend": "rocksdb"}
    return writers._encode_label(uuid.uuid4().bytes, SIZE, 1_700_000_000, "main", meta)


def raid(major: int, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", 0xA92B4EFC, major).ljust(256, b"\0")


def found(path: Path) -> list[Label | Raid]:
    return signatures.found(path.stat().st_size, read(path))


@pytest.mark.parametrize(
    ("size", "labels"),
    [(GIB, [0]), (GIB + 4096, [0, 1]), (10 * GIB, [0, 1]), (10 * GIB + 4096, [0, 1, 10]), (101 * GIB, [0, 1, 10, 100]), (4000 * GIB, [0, 1, 10, 100, 1000])],
)
def test_every_place_of_a_label_within_the_disk_is_read(size: int, labels: list[int]) -> None:
    places = signatures.places(size)
    assert [gib for gib in (0, 1, 10, 100, 1000) if gib * GIB in places] == labels
    assert all(offset % signatures.BLOCK == 0 and 0 <= offset <= size - signatures.BLOCK for offset in places)
    assert size // 65536 * 65536 - 65536 in places, "superblock 0.90"
    assert size - 8192 in places, "superblock 1.0"


def test_an_empty_disk_holds_nothing(path: Path) -> None:
    assert found(path) == []


def test_a_label_tells_cluster_and_osd(path: Path) -> None:
    writers.write_bluestore(path)
    first, *others = found(path)
    assert isinstance(first, Label)
    assert (first.offset, first.osd, len(first.fsid), len(first.osd_uuid)) == (0, "3", 36, 36)
    assert [(item.offset, item.fsid, item.osd) for item in others if isinstance(item, Label)] == [(gib * GIB, first.fsid, "3") for gib in (1, 10)]
    assert described(found(path)) == f"labels of BlueStore at its start, 1 GiB, 10 GiB, of osd.3 of the Ceph cluster {first.fsid}"


@pytest.mark.skipif(shutil.which("ceph-osd") is None, reason="ceph-osd is not installed")
def test_a_label_of_a_real_osd(path: Path) -> None:
    assert foreign._make_store(path) == "by ceph-osd"
    (item,) = found(path)
    assert isinstance(item, Label)
    told = subprocess.run(["ceph-bluestore-tool", "show-label", "--dev", str(path)], capture_output=True, text=True, check=True).stdout
    (expected,) = json.loads(told).values()
    assert (item.fsid, item.osd, item.osd_uuid) == (expected["ceph_fsid"], expected["whoami"], expected["osd_uuid"])


@pytest.mark.parametrize(
    ("damage", "osd"),
    [
        (lambda block: block[:23], ""),
        (lambda block: block[:60] + b"\xff" * 200, ""),
        (lambda block: block[:98] + struct.pack("<I", 0xFFFFFFFF) + block[102:], ""),
        (lambda block: block[:60] + b"\x01" + block[61:], ""),
        (lambda block: block[:-4] + b"\0\0\0\0", "3"),
    ],
    ids=["cut", "garbage", "too long", "version 1", "whole"],
)
def test_a_damaged_label_is_somebodys_all_the_same(path: Path, damage: Callable[[bytes], bytes], osd: str) -> None:
    put(path, GIB, damage(label()))
    (item,) = found(path)
    assert isinstance(item, Label)
    assert (item.offset, item.osd) == (GIB, osd)
    assert ("an OSD that it does not tell" in described([item])) == (osd == "")


@pytest.mark.parametrize(
    ("offset", "content", "expected"),
    [
        (0, raid(1), Raid(0, "1.1")),
        (4096, raid(1), Raid(4096, "1.2")),
        (SIZE - 8192, raid(1), Raid(SIZE - 8192, "1.0")),
        (SIZE - 65536, raid(0), Raid(SIZE - 65536, "0.90")),
        (SIZE - 65536, raid(0, ">"), Raid(SIZE - 65536, "0.90")),
        (8192, raid(1), None),
        (4096, raid(0), None),
        (SIZE - 65536, raid(1), None),
    ],
)
def test_superblocks_of_software_raid(path: Path, offset: int, content: bytes, expected: Raid | None) -> None:
    put(path, offset, content)
    assert found(path) == ([expected] if expected else [])


def test_a_superblock_tells_its_array(path: Path) -> None:
    writers.write_raid(path)
    assert described(found(path)) == "a superblock 1.2 of a software RAID «other:home» at 4 KiB"


@pytest.mark.parametrize("size", [0, 512, 4095, 4096, 100_000])
def test_disks_of_no_size_are_no_trouble(size: int) -> None:
    assert all(offset + 4096 <= size for offset in signatures.places(size))
    assert signatures.found(size, {}) == []


# -- which disks, and what follows


def candidate(**changes: Any) -> Candidate:
    values = {"machine": "m1", "node": "node-m1", "address": "192.0.2.11", "disk": disk("sdb", size=SIZE), "use": "osd", "link": "/dev/disk/by-id/ata-b"}
    return Candidate(**{**values, **changes})


_NONE = Cluster()


def seen(path: Path, cluster: Cluster = _NONE, **changes: Any) -> Seen:
    return judge(candidate(**changes), Bytes(read(path)), cluster)


def test_later_labels_of_another_cluster_are_refused(path: Path) -> None:
    put(path, GIB, label())
    result = seen(path, Cluster(FSID, frozenset("3")))
    assert result.finding is not None
    assert not result.finding.warning
    assert str(result.finding).startswith("m1: machine_osd_disks: /dev/sdb (serial S-sdb, ")
    assert f"it holds a label of BlueStore at 1 GiB, of osd.3 of the Ceph cluster {OTHER}. Use another one; or" in str(result.finding)
    assert str(result.finding).endswith("permit to wipe it with machine_wipe_disks: [S-sdb] for m1.")


@pytest.mark.parametrize(
    ("offset", "fsid", "cluster", "verdict"),
    [
        (GIB, OTHER, Cluster(), "refused"),
        (GIB, OTHER, Cluster(FSID), "refused"),
        (GIB, OTHER, Cluster(FSID, frozenset("3")), "refused"),
        (GIB, FSID, Cluster(), "refused"),
        # Ours: Ceph has it; may have it; does not have it any more.
        (GIB, FSID, Cluster(FSID, frozenset("3")), "warned"),
        (GIB, FSID, Cluster(FSID), "warned"),
        (GIB, FSID, Cluster(FSID, frozenset("45")), "refused"),
        (GIB, FSID, Cluster(FSID, frozenset()), "refused"),
        # Made while we looked.
        (0, FSID, Cluster(FSID, frozenset()), "fine"),
        (0, FSID, Cluster(FSID), "fine"),
        (0, OTHER, Cluster(FSID), "refused"),
    ],
)
def test_whose_label_it_is(path: Path, offset: int, fsid: str, cluster: Cluster, verdict: str) -> None:
    put(path, offset, label(fsid))
    result = seen(path, cluster)
    assert (("warned" if result.finding.warning else "refused") if result.finding else "fine") == verdict
    assert not result.wipe
    permitted = seen(path, cluster, permitted=True)
    assert permitted.wipe == (verdict == "refused"), "what is the cluster's own is never wiped"


def test_an_osd_that_the_cluster_does_not_have_any_more_is_told_so(path: Path) -> None:
    put(path, GIB, label(FSID))
    result = seen(path, Cluster(FSID, frozenset("1")))
    assert "which this cluster does not have any more" in str(result.finding)


@pytest.mark.parametrize("permitted", [False, True])
@pytest.mark.parametrize("offset", [0, GIB])
def test_what_is_foreign_beside_our_own_is_refused_and_not_wiped_by_permission(path: Path, offset: int, permitted: bool) -> None:
    put(path, offset, label(FSID))
    put(path, SIZE - 8192, raid(1))
    result = seen(path, Cluster(FSID, frozenset("3")), permitted=permitted)
    assert not result.wipe
    assert result.finding is not None
    assert f"a superblock 1.0 of a software RAID at {(SIZE - 8192) // 1024} KiB, of which only a part is this cluster's" in result.finding.what
    assert not result.finding.warning


def test_what_cannot_be_read_is_not_empty(path: Path) -> None:
    blocks = read(path)
    del blocks[GIB]
    result = judge(candidate(permitted=True), Bytes(blocks, "dd: error reading"), Cluster())
    assert result.finding is not None
    assert f"it could not be read at {GIB} (dd: error reading), so it may hold something" in result.finding.what
    assert not result.wipe
    assert judge(candidate(), Bytes({}), Cluster()).finding is not None


def test_after_a_wipe_nothing_may_be_left(path: Path) -> None:
    assert seen(path, Cluster(FSID), wiped=True).finding is None
    put(path, GIB, label(FSID))
    result = seen(path, Cluster(FSID, frozenset("3")), wiped=True)
    assert result.finding is not None
    assert "it was wiped, and it holds a label of BlueStore at 1 GiB" in result.finding.what
    assert not result.finding.warning


def test_a_disk_without_a_name_cannot_be_permitted(path: Path) -> None:
    put(path, GIB, label())
    result = seen(path, disk=disk("sdb", "", wwid="", size=SIZE))
    assert "wipe it by hand" in str(result.finding)


def judged(name: str, use: str = "osd", **changes: Any) -> dict[str, Any]:
    there = disk(name)
    link = f"/dev/disk/by-id/ata-{name}"
    return {**facts(there), "machine": "m1", "use": use, "contents": "empty", "findings": [], "warnings": [], "wipe": False, "link": link, **changes}


MACHINES = [{"name": "m1", "hostname": "node-m1", "address": "192.0.2.11", "wipe_disks": ["S-sdc"]}]


@pytest.mark.parametrize(
    ("entry", "chosen"),
    [
        (judged("sdb"), True),
        (judged("sdb", "metadata"), True),
        (judged("sdb", "install"), False),
        (judged("sdb", ""), False),
        (judged("sdb", contents="ours"), False),
        (judged("sdb", contents="lvm", wipe=True), False),
        (judged("sdb", contents="unknown"), False),
        (judged("sdb", findings=["it is read-only"]), False),
        (judged("sdb", machine="m2"), False),
    ],
)
def test_disks_that_are_new_to_ceph_are_looked_at(entry: dict[str, Any], chosen: bool) -> None:
    assert bool(candidates(MACHINES, [entry])) == chosen


def test_a_candidate_knows_its_machine_and_permission() -> None:
    first, second = candidates(MACHINES, [judged("sdb"), judged("sdc")])
    assert (first.machine, first.node, first.address, first.name, first.link) == ("m1", "node-m1", "192.0.2.11", "S-sdb", "/dev/disk/by-id/ata-sdb")
    assert (first.permitted, second.permitted) == (False, True)


def test_of_wiped_disks_only_those_are_looked_at_whatever_was_on_them() -> None:
    disks = [judged("sdb"), judged("sdc", contents="lvm", wipe=True)]
    (only,) = candidates(MACHINES, disks, ["S-sdc"])
    assert (only.name, only.permitted, only.wiped) == ("S-sdc", False, True)


# -- the pod's program, run here


def printed(shell: Sequence[str], *operands: str) -> str:
    command = reader.job("m1", {}, image="i", directory="/dev", seconds=5)["spec"]["template"]["spec"]["containers"][0]["command"]
    return subprocess.run([*shell, *command[1:], *operands], capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize("shell", [["sh"], ["busybox", "sh"], ["bash", "--posix"]], ids=" ".join)
def test_the_program_reads_what_is_there(path: Path, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    put(path, GIB, label())
    offsets = signatures.places(SIZE)
    text = printed(shell, str(path), " ".join(str(offset // 4096) for offset in offsets), f"{path}-gone", "0 1")
    first, second = text.splitlines()
    content = reader.parsed(first)[str(path)]
    assert content == Bytes(read(path))
    gone = reader.parsed(second)[f"{path}-gone"]
    assert set(gone.blocks.values()) == {b""}
    assert "No such file or directory" in gone.error


def test_the_program_opens_for_reading_only(path: Path) -> None:
    path.chmod(0o400)
    before = path.stat().st_mtime_ns
    assert reader.parsed(printed(["sh"], str(path), "0"))[str(path)] == Bytes({0: bytes(4096)})
    assert path.stat().st_mtime_ns == before


def test_lines_of_others_and_broken_ones_are_left_out() -> None:
    good = json.dumps({"path": "/devices/disk/by-id/a", "error": "", "blocks": {"1": "AAAA"}})
    text = f'hello\n{{"path": "x", "blocks": {{"0": "%%"}}}}\n[]\n{good}\n{good[:20]}'
    assert reader.parsed(text) == {"disk/by-id/a": Bytes({4096: bytes(3)})}


def test_the_job_stays_on_its_node_and_ends_by_itself() -> None:
    made = reader.job("m1", {"disk/by-id/a": [0, GIB]}, image="ceph", directory="/dev", seconds=77)
    assert made["metadata"]["name"] == "trinode-disk-look-m1"
    spec = made["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (0, 77, 900)
    pod = spec["template"]["spec"]
    assert (pod["nodeName"], pod["restartPolicy"], pod["hostNetwork"], pod["automountServiceAccountToken"]) == ("m1", "Never", True, False)
    assert pod["volumes"] == [{"name": "devices", "hostPath": {"path": "/dev"}}]
    (container,) = pod["containers"]
    assert container["volumeMounts"] == [{"name": "devices", "mountPath": "/devices", "readOnly": True}]
    assert container["command"][-2:] == ["/devices/disk/by-id/a", "0 262144"]


@pytest.mark.parametrize("node", ["m1", "node.example.org", "n" * 63, "n" * 200])
def test_a_job_s_name_fits_into_a_label(node: str) -> None:
    name = reader.job(node, {}, image="i", directory="/dev", seconds=1)["metadata"]["name"]
    assert len(name) <= 63
    assert "." not in name


class Pods:
    """A Job's pods, as an API server lists them."""

    def __init__(self, *phases: str) -> None:
        self.phases = phases

    def get(self, path: str, **_options: Any) -> dict[str, Any]:
        assert path == "/apis/batch/v1/namespaces/rook-ceph/jobs/trinode-disk-look-m1"
        return {"metadata": {"uid": "the-job"}}

    def list(self, path: str, params: dict[str, str], **_options: Any) -> Any:
        assert (path, params) == ("/api/v1/namespaces/rook-ceph/pods", {"labelSelector": "batch.kubernetes.io/controller-uid=the-job"})
        return [{"metadata": {"name": f"pod-{number}"}, "status": {"phase": phase}} for number, phase in enumerate(self.phases)], ""


def test_a_kubelet_that_does_not_show_what_pods_print(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(_client: Any, _namespace: str, pod: str, _deadline: Deadline) -> str:
        asked.append(pod)
        raise ApiError("remote error: tls: internal error", code=500)

    monkeypatch.setattr(reader, "_log", refuse)
    pods: Any = Pods("Failed", "Succeeded")
    with pytest.raises(DeadlineExceeded, match=r"what its pod printed cannot be read: remote error: tls.*kubelet_csr_approver"):
        reader._printed(pods, "rook-ceph", "trinode-disk-look-m1", Deadline(1))
    assert set(asked) == {"pod-1"}
    assert len(asked) > 1, "a certificate may be approved meanwhile"


def test_a_pod_that_is_gone() -> None:
    pods: Any = Pods()
    with pytest.raises(ConnectionFailed, match="its pod is gone"):
        reader._printed(pods, "rook-ceph", "trinode-disk-look-m1", Deadline(1))
