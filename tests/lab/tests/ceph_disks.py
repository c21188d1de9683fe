# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with Ceph, and the disks that its inventory gives to it, for the tests that change them."""

from __future__ import annotations

import json
from typing import Any

import ceph
from driver import Lab, PlaybookRun

COMPONENTS = ("gateway_api", "prometheus_operator_crds", "cilium", "kubelet_csr_approver", "snapshot_controller", "rook_ceph")


class Storage:
    """The cluster, and the disks that its inventory gives to Ceph: by machine, the ends of their serial numbers."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.disks = {machine: ["OSD1", "OSD2"] for machine in ("m1", "m2", "m3")}

    def serial(self, machine: str, disk: str) -> str:
        return f"{self.lab.name}-{machine}-{disk}".upper()

    def play(self, playbook: str, options: str = "", **variables: Any) -> PlaybookRun:
        return self.lab.playbook(f"playbooks/{playbook}.yml", options=options, variables={**self.variables(), **variables}, components=COMPONENTS)

    def variables(self) -> dict[str, Any]:
        """What an inventory would say of the disks."""
        disks = {machine: [{"serial": self.serial(machine, disk)} for disk in disks] for machine, disks in self.disks.items()}
        return {"lab_disks": disks, "machine_osd_disks": "{{ lab_disks[inventory_hostname] | default([]) }}"}

    def devices(self) -> dict[int, str]:
        """The disks of OSDs, as Rook was given them: the ends of their names."""
        items = json.loads(self.lab.kubectl("-n", "rook-ceph", "get", "deployments", "-l", "app=rook-ceph-osd", "-o", "json"))["items"]
        found = {}
        for item in items:
            variables = {entry["name"]: entry.get("value", "") for entry in item["spec"]["template"]["spec"]["containers"][0]["env"]}
            found[int(item["metadata"]["labels"]["ceph-osd-id"])] = variables["ROOK_BLOCK_PATH"].rpartition("_")[2]
        return found

    def osd_on(self, machine: str, disk: str) -> int | None:
        return next((number for number, serial in self.devices().items() if serial == self.serial(machine, disk)), None)

    def named(self) -> str:
        """The CephCluster's words on its disks."""
        return self.lab.kubectl("-n", "rook-ceph", "get", "cephcluster", "rook-ceph", "-o", "jsonpath={.spec.storage.nodes}")

    def wait(self, osds: int = 6) -> None:
        ceph.wait(lambda: ceph.healthy(self.lab, osds), 300, f"{osds} OSDs, all placement groups clean")


def built(lab: Lab) -> Storage:
    """A new cluster, whose storage is whole."""
    ceph.needed(lab)
    found = Storage(lab)
    run = found.play("site")
    assert run.returncode == 0, run.output
    found.wait()
    return found


def sound(report: dict[str, Any]) -> None:
    assert report["lost"] == []
    assert report["errors"] == []
    assert report["short"] == [], "there were never fewer than two copies"
    assert report["writes"] > 20
