#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_disk_look
short_description: Look at the bytes of disks before Ceph is given them
version_added: 1.0.0
description:
  - Talos tells what it finds at the beginning of a disk. This looks at the places where it does not, on the disks that are to be Ceph's and that Talos finds
    empty, and refuses those that hold anything foreign - copies of a BlueStore label at 1, 10, 100 and 1000 GiB, of another Ceph cluster or of an OSD that
    this one does not have any more, and superblocks of software RAID (0.90, 1.0, 1.1, 1.2).
  - The bytes are read by a privileged pod on each machine that has such disks, for reading only. It is removed again, after a failure too; after a run that was
    killed it ends by itself, and Kubernetes removes it a quarter of an hour later. Where there is no such disk, nothing is asked and no pod is made.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.disks
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
options:
  machines:
    description: The machines, as the filter P(trinode.platform.disk_machines#filter) makes them of an inventory.
    type: list
    elements: dict
    required: true
  disks:
    description: The judged disks, RV(trinode.platform.disk_contract#module:disks).
    type: list
    elements: dict
    required: true
  ours:
    description:
      - The OSDs that the running Ceph cluster has. Leave it out when Ceph was not asked or does not answer; then no label with the cluster's own fsid is
        foreign. An empty list means that there is no OSD.
  wiped:
    description: Serials (or wwids) of disks that were just wiped. Only these are looked at then, and whatever is left on them is refused.
    type: list
    elements: str
    default: []
  namespace:
    description: Namespace of the pods and of the CephCluster. It is made, privileged, where it is missing; check mode looks only where it is there.
    type: str
    default: rook-ceph
  image:
    description: Image of the pods, with C(sh), C(dd) and C(base64). Ceph's own image has them, and is needed on the machines anyway.
    type: str
    required: true
  directory:
    description: Directory of the machines with their devices. Empty means that nobody looks.
    type: str
    default: /dev
attributes:
  check_mode:
    support: full
    details:
      - It looks in check mode, too, by a pod that is removed again, unless the namespace or the cluster is missing; then it says that nothing was looked at.
  diff_mode:
    support: N/A
  idempotent:
    support: full
seealso:
  - module: trinode.platform.disk_contract
  - module: trinode.platform.talos_disk_wipe
"""

EXAMPLES = r"""
- name: Look at the bytes of the disks that Ceph is to be given
  trinode.platform.ceph_disk_look:
    kubeconfig: "{{ trinode_kubeconfig }}"
    machines: "{{ groups['machines'] | trinode.platform.disk_machines(hostvars) }}"
    disks: "{{ contract.disks }}"
    ours: "{{ ceph.osds | trinode.platform.ceph_disks }}"
    image: quay.io/ceph/ceph:v20.2.4
  register: look
"""

RETURN = r"""
disks:
  description: The disks that were looked at. C(found) is what is on them beside what Talos tells, empty where there is nothing.
  type: list
  elements: dict
  returned: success
  sample:
    - {machine: m1, serial: S4X9NF0M, path: /dev/sdb, found: "", wipe: false}
wipes:
  description: Disks that hold something and may be wiped, as RV(trinode.platform.disk_contract#module:wipes).
  type: list
  elements: dict
  returned: success
  sample:
    - {machine: m1, hostname: m1, address: 192.0.2.11, serial: S4X9NF0M, path: /dev/sdb, use: osd}
looked:
  description: Whether anything was looked at.
  type: bool
  returned: success
  sample: true
findings:
  description: How many disks are refused.
  type: int
  returned: always
  sample: 0
"""

import base64
from collections.abc import Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks import reader, signatures
from ansible_collections.trinode.platform.plugins.module_utils.disks.look import Bytes, Candidate, Cluster, Seen, candidates, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import OURS_OPTION
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "machines": {"type": "list", "elements": "dict", "required": True},
    "disks": {"type": "list", "elements": "dict", "required": True},
    "ours": OURS_OPTION,
    "wiped": {"type": "list", "elements": "str", "default": []},
    "namespace": {"type": "str", "default": "rook-ceph"},
    "image": {"type": "str", "required": True},
    "directory": {"type": "str", "default": "/dev"},
}
# Rook's own pods need the same.
_PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
_DEVICES = "/dev/"
_MONITORS = "rook-ceph-mon"


def run(task: Task) -> Outcome:
    """Find the disks, look, judge; or refuse."""
    params = task.params
    wanted = candidates(params["machines"], params["disks"], params["wiped"])
    if not wanted:
        return _unseen("There is no disk to look at.")
    if not params["directory"]:
        return _unseen(f"Nobody looks at the bytes of {len(wanted)} disks, as is set.")
    deadline = Deadline(params["timeout"])
    try:
        client = connect(params["kubeconfig"], params["context"], deadline)
        there = bool(_answer(client, f"/api/v1/namespaces/{params['namespace']}"))
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        return _unseen(f"The bytes of {len(wanted)} disks were not looked at, as on a cluster that does not exist yet: {error}", changed=True)
    try:
        if task.check_mode and not there:
            text = f"the namespace {params['namespace']} does not exist yet, and no pod can look from there"
            return _unseen(f"The bytes of {len(wanted)} disks were not looked at: {text}. A run does, before Ceph is given them.", changed=True)
        if not there:
            metadata = {"name": params["namespace"], "labels": _PRIVILEGED}
            apply.apply(client, [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}], Request(), deadline)
        seen = _look(client, wanted, task, deadline)
    finally:
        client.close()
    return _told(seen, task, changed=not there)


def _look(client: Client, wanted: Sequence[Candidate], task: Task, deadline: Deadline) -> list[Seen]:
    params = task.params
    places: dict[str, dict[str, list[int]]] = {}
    for candidate in wanted:
        places.setdefault(candidate.node, {})[_below(candidate)] = signatures.places(candidate.disk.size)
    read = reader.read(client, places, namespace=params["namespace"], image=params["image"], directory=params["directory"], deadline=deadline)
    # Asked for afterwards: Ceph may have begun meanwhile, where an earlier run was killed.
    osds = None if params["ours"] is None else {str(entry["osd"]).removeprefix("osd.") for entry in params["ours"]}
    cluster = Cluster(_fsid(client, params["namespace"]), osds)
    return [judge(candidate, read.get((candidate.node, _below(candidate)), Bytes({})), cluster) for candidate in wanted]


def _below(candidate: Candidate) -> str:
    return candidate.link.removeprefix(_DEVICES)


def _told(seen: Sequence[Seen], task: Task, *, changed: bool) -> Outcome:
    refused = [entry.finding for entry in seen if entry.finding and not entry.finding.warning]
    if refused:
        lines = "\n".join(str(finding) for finding in refused)
        count = f"{len(refused)} finding{'s' if len(refused) > 1 else ''} about disks"
        raise RefusedError(f"{count}; nothing was written to them", hint=f"\n{lines}", details={"findings": len(refused)})
    for entry in seen:
        if entry.finding:
            task.warn(str(entry.finding))
    values = [
        {
            "machine": entry.candidate.machine,
            "serial": entry.candidate.name,
            "path": entry.candidate.disk.path,
            "found": entry.contents,
            "wipe": entry.wipe,
        }
        for entry in seen
    ]
    wipes = [
        {
            "machine": entry.candidate.machine,
            "hostname": entry.candidate.node,
            "address": entry.candidate.address,
            "serial": entry.candidate.name,
            "path": entry.candidate.disk.path,
            "use": entry.candidate.use,
        }
        for entry in seen
        if entry.wipe
    ]
    return Outcome(
        changed=changed,
        message=f"Looked at the bytes of {len(seen)} disks: {len(wipes)} hold something and may be wiped, the others nothing foreign.",
        values={"disks": values, "wipes": wipes, "looked": True, "findings": 0},
    )


def _unseen(message: str, *, changed: bool = False) -> Outcome:
    return Outcome(changed=changed, message=message, values={"disks": [], "wipes": [], "looked": False, "findings": 0})


def _fsid(client: Client, namespace: str) -> str:
    """The fsid of the namespace's Ceph cluster; empty before it has one. Rook makes OSDs before the CephCluster tells it, but not before its Secret does."""
    clusters = _answer(client, f"/apis/ceph.rook.io/v1/namespaces/{namespace}/cephclusters").get("items") or []
    told = next((str(fsid) for item in clusters if (fsid := ((item.get("status") or {}).get("ceph") or {}).get("fsid"))), "")
    if told or not clusters:
        return told
    data = _answer(client, f"/api/v1/namespaces/{namespace}/secrets/{_MONITORS}").get("data") or {}
    return base64.b64decode(data.get("fsid") or "").decode()


def _answer(client: Client, path: str) -> dict[str, Any]:
    """What is there; empty where nothing is, or its kind is not served."""
    try:
        return client.get(path)
    except ApiError as error:
        if error.not_found:
            return {}
        raise


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
