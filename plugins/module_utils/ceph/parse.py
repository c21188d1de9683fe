# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ceph's answers to what is seen. Pure. Reads Ceph 16 to 20, whose answers differ in little of what is read here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Budget, Ceph, Check, Mon, Osd, PlacementGroups, Pool, Ratios, Stop
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed

Json = Mapping[str, Any]

# Monitors answer first: without a manager the last ones are missing.
QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("status", {"prefix": "status"}),
    ("health", {"prefix": "health", "detail": "detail"}),
    ("osd dump", {"prefix": "osd dump"}),
    ("osd tree", {"prefix": "osd tree"}),
    ("osd crush rule dump", {"prefix": "osd crush rule dump"}),
    ("osd metadata", {"prefix": "osd metadata"}),
    ("mon dump", {"prefix": "mon dump"}),
    ("mon metadata", {"prefix": "mon metadata"}),
    ("df", {"prefix": "df"}),
    ("osd df", {"prefix": "osd df"}),
)
_ERASURE_CODED = 3
_KIB = 1024


def decode(answers: Json, where: str) -> dict[str, Any]:
    """The JSON of each answer. Raises ConnectionFailed where Ceph did not answer one of the questions."""
    if answers.get("problem"):
        raise ConnectionFailed(
            f"the toolbox does not reach Ceph's monitors: {answers['problem']}", where=where, hint="Are the pods rook-ceph-mon-* running, most of them?"
        )
    decoded: dict[str, Any] = {}
    for name, _command in QUESTIONS:
        answer = answers.get(name)
        if answer is None:
            advice = "Are the pods rook-ceph-mgr-* running?" if decoded else "Are the pods rook-ceph-mon-* running, most of them?"
            raise ConnectionFailed(f"Ceph does not answer `ceph {name}`", where=where, hint=advice)
        if answer["code"]:
            raise ConnectionFailed(f"`ceph {name}` failed: {answer['error'] or answer['code']}", where=where)
        try:
            decoded[name] = json.loads(answer["output"])
        except ValueError as error:
            raise ConnectionFailed(f"the answer of `ceph {name}` is no JSON: {error}", where=where) from error
    return decoded


def read(answers: Json, objects: Sequence[Json] = (), *, where: str = "toolbox") -> Ceph:
    """What ``answers`` of the inquiry and Kubernetes ``objects`` (CephCluster, Nodes, budgets, filesystems, object stores) say.

    Raises ConnectionFailed where an answer is missing or is no answer.
    """
    said = decode(answers, where)
    try:
        return _read(said, answers, objects)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConnectionFailed(
            f"Ceph's answers are not as they are known: {type(error).__name__}: {error}", where=where, hint="Which version of Ceph runs there?"
        ) from error


def _read(said: Json, answers: Json, objects: Sequence[Json]) -> Ceph:
    status, dump, stats = said["status"], said["osd dump"], said["df"]["stats"]
    cluster = next((item for item in objects if item.get("kind") == "CephCluster"), {})
    names = [str(item["metadata"]["name"]) for item in objects if item.get("kind") == "Node"]
    return Ceph(
        fsid=str(status["fsid"]),
        version=_version(said["mon metadata"]),
        health=str(status["health"]["status"]),
        checks=tuple(_checks(said["health"])),
        mons=tuple(_mons(said["mon dump"], status, said["mon metadata"])),
        osds=tuple(_osds(said, names, block_paths(objects))),
        groups=_groups(status["pgmap"]),
        pools=tuple(_pools(dump["pools"], said["osd crush rule dump"], said["df"]["pools"])),
        total=int(stats["total_bytes"]),
        used=int(stats.get("total_used_raw_bytes", stats["total_used_bytes"])),
        available=int(stats["total_avail_bytes"]),
        ratios=Ratios(*(round(float(dump[name]), 4) for name in ("nearfull_ratio", "backfillfull_ratio", "full_ratio"))),
        flags=tuple(flag for flag in str(dump["flags"]).split(",") if flag in _STALLING),
        host_flags=tuple(sorted((name, tuple(flags)) for name, flags in (dump.get("crush_node_flags") or {}).items())),
        budgets=tuple(budgets(objects)),
        manages_budgets=bool(((cluster.get("spec") or {}).get("disruptionManagement") or {}).get("managePodBudgets")),
        filesystems=tuple(_filesystems(objects, status.get("fsmap") or {})),
        object_stores=tuple(
            {"name": item["metadata"]["name"], "phase": str((item.get("status") or {}).get("phase", ""))}
            for item in objects
            if item.get("kind") == "CephObjectStore"
        ),
        ok_to_stop=_ok_to_stop(answers["ok_to_stop"]) if "ok_to_stop" in answers else None,
        destroyable=_destroyable(answers["safe_to_destroy"]) if "safe_to_destroy" in answers else None,
    )


# Flags of the whole cluster that keep it from healing, or from noticing.
_STALLING = {"pauserd", "pausewr", "pause", "noup", "nodown", "noin", "noout", "nobackfill", "norecover", "norebalance", "full"}


def _checks(health: Json) -> Iterable[Check]:
    for name, check in sorted((health.get("checks") or {}).items()):
        detail = tuple(str(entry["message"]) for entry in check.get("detail") or [])
        yield Check(name, str(check["severity"]), str(check["summary"]["message"]), bool(check.get("muted")), detail)


def _mons(dump: Json, status: Json, metadata: Sequence[Json]) -> Iterable[Mon]:
    hosts = {str(entry["name"]): str(entry.get("hostname") or "") for entry in metadata}
    quorum = set(status.get("quorum_names") or ())
    for mon in dump["mons"]:
        yield Mon(str(mon["name"]), hosts.get(str(mon["name"]), ""), mon["name"] in quorum)


def block_paths(objects: Iterable[Json]) -> dict[int, str]:
    """The devices that Rook gave to OSDs, by number, from their Deployments."""
    found = {}
    for item in objects:
        number = str((item["metadata"].get("labels") or {}).get("ceph-osd-id", ""))
        if item.get("kind") != "Deployment" or not number.isdigit():
            continue
        containers = ((item.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers") or []
        variables = {entry["name"]: str(entry.get("value") or "") for container in containers for entry in container.get("env") or []}
        found[int(number)] = variables.get("ROOK_BLOCK_PATH", "")
    return found


def named(path: str) -> str:
    """What udev knows of a disk, from its path: "ATA_ST4000_ZC1" of /dev/disk/by-id/ata-ATA_ST4000_ZC1. Empty for a path that does not tell."""
    bus, _dash, name = path.removeprefix("/dev/disk/by-id/").partition("-")
    return name if path.startswith("/dev/disk/by-id/") and bus in _BUSES and not name.startswith(("eui.", "uuid.")) else ""


_BUSES = ("ata", "nvme", "scsi", "usb", "virtio", "mmc")


def _osds(said: Json, nodes: Sequence[str], paths: Mapping[int, str]) -> Iterable[Osd]:
    """All OSDs of the map. One that has never started has told nothing of itself."""
    metadata = {int(entry["id"]): entry for entry in said["osd metadata"]}
    usage = {int(entry["id"]): entry for entry in [*said["osd df"]["nodes"], *(said["osd df"].get("stray") or [])]}
    tree = said["osd tree"]["nodes"]
    leaves = {int(entry["id"]): entry for entry in [*tree, *(said["osd tree"].get("stray") or [])] if entry["type"] == "osd"}
    buckets = {int(child): str(entry["name"]) for entry in tree if entry["type"] == "host" for child in entry.get("children") or []}
    # A node's name may have dots, a bucket's has dashes for them.
    known = {name.replace(".", "-"): name for name in nodes}
    for entry in said["osd dump"]["osds"]:
        number = int(entry["osd"])
        told, used, leaf, bucket = metadata.get(number, {}), usage.get(number, {}), leaves.get(number, {}), buckets.get(number, "")
        device, device_id = _device(told)
        # Ceph does not know every disk; Rook was given it by its name.
        device_id = device_id or named(paths.get(number, ""))
        yield Osd(
            id=number,
            host=known.get(bucket, "") or str(told.get("hostname") or bucket),
            up=bool(entry["up"]),
            in_=bool(entry["in"]),
            device_class=str(leaf.get("device_class") or used.get("device_class") or ""),
            size=int(used.get("kb") or 0) * _KIB or int(told.get("bluestore_bdev_size") or 0),
            used=int(used.get("kb_used") or 0) * _KIB,
            # What udev knows of a disk, joined: vendor, model, serial.
            serial=device_id.rpartition("_")[2],
            device=device,
            device_id=device_id,
            bucket=bucket,
            weight=float(leaf.get("crush_weight") or 0),
            placement_groups=int(used.get("pgs") or 0),
        )


def _device(told: Json) -> tuple[str, str]:
    """Kernel's name and Ceph's name of the disk that holds the data, of an OSD that may have a second one for its database."""
    ids = dict(entry.split("=", 1) for entry in str(told.get("device_ids") or "").split(",") if "=" in entry)
    device = str(told.get("bluestore_bdev_devices") or next(iter(ids), "") or told.get("devices") or "").split(",", maxsplit=1)[0]
    return device, ids.get(device, "")


def _groups(pgmap: Json) -> PlacementGroups:
    states = {str(entry["state_name"]): int(entry["count"]) for entry in pgmap.get("pgs_by_state") or []}
    return PlacementGroups(
        total=int(pgmap["num_pgs"]),
        states=states,
        degraded=int(pgmap.get("degraded_objects") or 0),
        misplaced=int(pgmap.get("misplaced_objects") or 0),
        unfound=int(pgmap.get("unfound_objects") or 0),
        copies=int(pgmap.get("degraded_total") or pgmap.get("misplaced_total") or 0),
        recovering_bytes=int(pgmap.get("recovering_bytes_per_sec") or 0),
        recovering_objects=int(pgmap.get("recovering_objects_per_sec") or 0),
    )


def _pools(pools: Sequence[Json], rules: Sequence[Json], usage: Sequence[Json]) -> Iterable[Pool]:
    by_rule = {int(rule["rule_id"]): rule["steps"] for rule in rules}
    used = {str(entry["name"]): entry["stats"] for entry in usage}
    for pool in pools:
        steps, stats = by_rule.get(int(pool["crush_rule"]), []), used.get(str(pool["pool_name"]), {})
        taken = next((str(step.get("item_name", "")) for step in steps if step["op"] == "take"), "")
        domains = [str(step["type"]) for step in steps if str(step["op"]).startswith("choose") and step.get("type")]
        yield Pool(
            name=str(pool["pool_name"]),
            size=int(pool["size"]),
            min_size=int(pool["min_size"]),
            failure_domain=domains[0] if domains else "osd",
            device_class=taken.partition("~")[2],
            erasure_coded=int(pool["type"]) == _ERASURE_CODED,
            placement_groups=int(pool["pg_num"]),
            stored=int(stats.get("stored") or 0),
            used=int(stats.get("bytes_used") or 0),
        )


def budgets(objects: Iterable[Json]) -> Iterable[Budget]:
    """The disruption budgets of Ceph's pods."""
    for item in objects:
        if item.get("kind") != "PodDisruptionBudget" or not str(item["metadata"]["name"]).startswith("rook-ceph-"):
            continue
        unavailable, status = (item.get("spec") or {}).get("maxUnavailable"), item.get("status") or {}
        yield Budget(
            str(item["metadata"]["name"]),
            int(str(unavailable)) if str(unavailable).isdigit() else None,
            int(status.get("disruptionsAllowed") or 0),
            int(status.get("expectedPods") or 0),
        )


def _filesystems(objects: Iterable[Json], fsmap: Json) -> Iterable[dict[str, Any]]:
    """By Kubernetes' objects, with their servers by Ceph's map: it names the file system of each rank by its number only, so all share the counts."""
    active = sum(str(entry.get("status")) == "up:active" for entry in fsmap.get("by_rank") or [])
    standby = int(fsmap.get("up:standby") or 0) + sum(str(entry.get("status")) == "up:standby-replay" for entry in fsmap.get("by_rank") or [])
    for item in objects:
        if item.get("kind") == "CephFilesystem":
            yield {"name": item["metadata"]["name"], "phase": str((item.get("status") or {}).get("phase", "")), "active": active, "standby": standby}


def _ok_to_stop(answer: Json) -> Stop:
    try:
        said = json.loads(answer["output"])
    except ValueError:
        return Stop((), ok=False, problem=str(answer["error"] or f"error {answer['code']}"))
    return Stop(tuple(int(osd) for osd in said["osds"]), bool(said["ok_to_stop"]), int(said.get("num_not_ok_pgs") or 0))


def _destroyable(answer: Json) -> tuple[int, ...]:
    """None while Ceph cannot say, as right after a change."""
    try:
        said = json.loads(answer["output"])
    except ValueError:
        return ()
    return tuple(int(osd) for osd in said.get("safe_to_destroy") or [])


def _version(metadata: Sequence[Json]) -> str:
    """The oldest of the monitors': "19.2.3"."""
    found = [str(entry["ceph_version_short"]) for entry in metadata if entry.get("ceph_version_short")]
    return min(found, key=lambda text: [int(part) for part in text.replace("-", ".").split(".") if part.isdigit()], default="")
