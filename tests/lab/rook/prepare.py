"""The pod rook-ceph-osd-prepare-<node>: makes OSDs of the machine's disks that the CephCluster names, and says in a ConfigMap what became of each.

The environment variable PREPARE is JSON: ``{fsid, devices: [{name, class, ...}], filter, path_filter, all}``. As ceph-volume, it touches no disk that holds
anything but an OSD of this cluster.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import disks
from kube import Kube
from monitors import Monitors, new_key


def main() -> int:
    wanted = json.loads(os.environ["PREPARE"])
    node = os.environ["NODE_NAME"]
    keyring = Path("/etc/ceph/keyring").read_text()
    key = re.search(r"\[client\.admin\]\s+key = (\S+)", keyring)
    assert key is not None
    monitors = Monitors(Path("/etc/ceph/ceph.conf").read_text(), key[1])
    results = []
    for disk, device in _chosen(wanted):
        result = {"disk": disk.serial if disk else "", "device": disk.link if disk else device["name"], **_prepare(monitors, wanted["fsid"], disk, device)}
        # In Rook's words, where people look for them.
        print(f'skipping device "{result["device"]}": {result["refused"]}' if "refused" in result else f"OSD {result['osd']}: {result['device']}", flush=True)
        results.append(result)
    # What is there and no longer wanted stays an OSD: only a person removes one.
    for disk in disks.found():
        if disk.serial not in {result["disk"] for result in results} and (made := _existing(disk, wanted["fsid"])):
            results.append({"disk": disk.serial, "device": disk.link, **made})
    data = {"node": node, "status": json.dumps({"status": "completed", "wanted": wanted, "osds": results})}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"rook-ceph-osd-{node}-status", "labels": {"app": "rook-ceph-osd"}}, "data": data}
    Kube().apply(item)
    return 0


def _chosen(wanted: dict[str, Any]) -> list[tuple[disks.Disk | None, dict[str, Any]]]:
    """The disks that are named, or match a filter, each with how it is to be used; None for a name that no disk has."""
    there = disks.found()
    if wanted["devices"]:
        return [(next((disk for disk in there if device["name"] in disk.names), None), device) for device in wanted["devices"]]
    chosen = []
    for disk in there:
        names = [f"/dev/{disk.name}", *(f"/dev/disk/by-id/{link}" for link in disk.links)]
        by_path = wanted["path_filter"] and any(re.search(wanted["path_filter"], name) for name in names)
        if wanted["all"] or by_path or (wanted["filter"] and re.search(wanted["filter"], disk.name)):
            chosen.append((disk, {**wanted["default"], "name": f"/dev/{disk.name}"}))
    return chosen


def _existing(disk: disks.Disk, fsid: str) -> dict[str, Any]:
    """The OSD of this cluster that the disk carries; empty where it carries none."""
    if disk.failed or not disk.owner():
        return {}
    label = disks.label(disk.path)
    return {"osd": int(label["whoami"]), "uuid": label["osd_uuid"]} if label.get("ceph_fsid") == fsid else {}


def _prepare(monitors: Monitors, fsid: str, disk: disks.Disk | None, device: dict[str, Any]) -> dict[str, Any]:
    """``{osd, uuid}`` of the OSD on a disk, or ``{refused}`` with the reason."""
    if disk is None:
        return {"refused": f"this machine has no disk {device['name']}"}
    if disk.failed:
        return {"refused": "the disk does not answer"}
    if made := _existing(disk, fsid):
        return made
    if foreign := _foreign(disk):
        return {"refused": foreign}
    if device.get("count", 1) != 1 or device.get("metadata"):
        return {"refused": "osdsPerDevice and metadataDevice need LVM, which the lab's machines do not have"}
    return _make(monitors, disk, device)


def _foreign(disk: disks.Disk) -> str:
    """What is on the disk that is not this cluster's."""
    if disk.owner():
        return f"it belongs to another Ceph cluster: {disks.label(disk.path).get('ceph_fsid', 'unknown')}"
    content = disks.content(disk)
    return f"it has content: {content}" if content else ""


def _make(monitors: Monitors, disk: disks.Disk, device: dict[str, Any]) -> dict[str, Any]:
    identity, key = str(uuid.uuid4()), new_key()
    body = {"cephx_secret": key}
    body["crush_device_class"] = device.get("class") or ("hdd" if disk.rotational else "ssd")
    number = monitors("osd new", body=json.dumps(body), uuid=identity)["osdid"]
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        (data / "block").symlink_to(disk.path)
        command = ["ceph-osd", "--mkfs", "-i", str(number), "--osd-uuid", identity, "--osd-data", str(data), "--osd-objectstore", "bluestore", "--keyfile", "-"]
        result = subprocess.run(command, input=key, capture_output=True, text=True, check=False)
    if result.returncode:
        monitors("osd purge-new", id=number, yes_i_really_mean_it=True)
        return {"refused": f"ceph-osd --mkfs failed: {result.stderr.strip()[-400:]}"}
    return {"osd": number, "uuid": identity}


if __name__ == "__main__":
    sys.exit(main())
