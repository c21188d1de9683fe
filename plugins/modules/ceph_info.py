#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_info
short_description: Read the state of the Ceph cluster that Rook runs
version_added: 1.0.0
description:
  - Asks Ceph through Rook's toolbox pod, all questions in one go, and reads Rook's objects beside it.
  - Where no CephCluster runs yet, RV(present) is false and nothing else is returned.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_kubernetes
options:
  ok_to_stop_host:
    description: Name of a node. Ceph is asked whether all OSDs there may stop at once.
    type: str
    default: ""
  ok_to_stop_osds:
    description: Numbers of OSDs. Ceph is asked whether they may stop at once, and which of them hold nothing that is not elsewhere.
    type: list
    elements: int
    default: []
  timeout:
    description: Seconds after which the task gives up.
    default: 30
attributes:
  check_mode:
    details:
      - It only reads.
      - In check mode, where O(kubeconfig) does not exist or the API server does not answer, RV(present) is false, as on a cluster that does not exist yet.
seealso:
  - module: trinode.platform.gate
  - module: trinode.platform.ceph_osd
"""

EXAMPLES = r"""
- name: Look at Ceph
  trinode.platform.ceph_info:
    kubeconfig: "{{ trinode_kubeconfig }}"
  register: ceph

- name: Ask Ceph whether m2 may go
  trinode.platform.ceph_info:
    kubeconfig: "{{ trinode_kubeconfig }}"
    ok_to_stop_host: m2
  register: ceph
  failed_when: ceph.present and not ceph.ok_to_stop.ok
"""

RETURN = r"""
present:
  description: Whether a Ceph cluster runs.
  type: bool
  returned: always
  sample: true
fsid:
  description: The cluster's id.
  type: str
  returned: when it runs
  sample: 4f837007-7f6a-4d68-aec9-e8e70be5d303
version:
  description: Version of the oldest monitor.
  type: str
  returned: when it runs
  sample: 20.2.4
health:
  description: Ceph's health, and the checks that say something.
  type: dict
  returned: when it runs
  sample:
    status: HEALTH_WARN
    checks:
      - {name: OSD_DOWN, severity: HEALTH_WARN, summary: 1 osds down, muted: false, detail: ["osd.0 (root=default,host=m1) is down"]}
mons:
  description: The monitors and their nodes.
  type: list
  elements: dict
  returned: when it runs
  sample:
    - {name: a, host: m1, in_quorum: true}
osds:
  description:
    - The OSDs. Sizes are in bytes; C(serial) is the serial number of the disk, empty where Ceph does not know it, and C(device_id) what Ceph calls it.
  type: list
  elements: dict
  returned: when it runs
  sample:
    - id: 0
      host: m1
      up: true
      in: true
      device_class: ssd
      size: 1000204886016
      used: 120259084288
      serial: S4EWNX0R700001
      device: sdb
      device_id: Samsung_SSD_870_S4EWNX0R700001
      weight: 0.90970
      placement_groups: 48
placement_groups:
  description: How many there are, and in what states. C(degraded) and C(misplaced) count copies of objects, C(recovering_bytes) is per second.
  type: dict
  returned: when it runs
  sample:
    total: 33
    active_clean: 33
    inactive: 0
    states: {active+clean: 33}
    degraded: 0
    misplaced: 0
    unfound: 0
    recovering_bytes: 0
recovery:
  description: Whether copies are made or moved, or wait for it.
  type: bool
  returned: when it runs
  sample: false
capacity:
  description: Bytes on all OSDs, raw, so each copy counts.
  type: dict
  returned: when it runs
  sample: {total: 19327352832, used: 1827172352, available: 17500180480}
pools:
  description: The pools. C(failure_domain) is what holds one copy at most.
  type: list
  elements: dict
  returned: when it runs
  sample:
    - name: ceph-blockpool
      size: 3
      min_size: 2
      failure_domain: host
      device_class: ""
      erasure_coded: false
      placement_groups: 32
      stored: 660340760
      used: 1981022280
filesystems:
  description: The file systems, and how many metadata servers there are in all.
  type: list
  elements: dict
  returned: when it runs
  sample:
    - {name: ceph-filesystem, phase: Ready, active: 1, standby: 1}
object_stores:
  description: The object stores.
  type: list
  elements: dict
  returned: when it runs
  sample:
    - {name: ceph-objectstore, phase: Ready}
disruption_budgets:
  description: The disruption budgets of Ceph's pods.
  type: list
  elements: dict
  returned: when it runs
  sample:
    - {name: rook-ceph-osd, max_unavailable: 1, disruptions_allowed: 1, pods: 6}
flags:
  description: Flags of the whole cluster that keep it from healing, or from noticing.
  type: list
  elements: str
  returned: when it runs
  sample: [noout]
ok_to_stop:
  description: Ceph's word on stopping the OSDs, and how many placement groups could not be used without them.
  type: dict
  returned: with O(ok_to_stop_host) or O(ok_to_stop_osds), when there are OSDs to stop
  sample: {ok: true, osds: [0, 3], inactive: 0, problem: ""}
safe_to_destroy:
  description: Those of the OSDs that hold nothing that is not elsewhere.
  type: list
  elements: int
  returned: with O(ok_to_stop_host) or O(ok_to_stop_osds), when there are OSDs to stop
  sample: []
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import observe
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "ok_to_stop_host": {"type": "str", "default": ""},
    "ok_to_stop_osds": {"type": "list", "elements": "int", "default": []},
    "timeout": {"type": "int", "default": 30},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    try:
        client = connect(params["kubeconfig"], params["context"], deadline)
    except MissingKubeconfigError as error:
        return _nothing(task, error)
    try:
        cluster = observe.find(client, deadline)
        if cluster is None:
            return Outcome(message="no Ceph cluster runs", values={"present": False})
        ceph = observe.observe(client, cluster, deadline, host=params["ok_to_stop_host"], osds=params["ok_to_stop_osds"])
    except ApiUnreachable as error:
        return _nothing(task, error)
    finally:
        client.close()
    return Outcome(message=f"Ceph {ceph.version}: {ceph.health}", values=values(ceph))


def _nothing(task: Task, error: Exception) -> Outcome:
    if not task.check_mode:
        raise error
    task.warn(f"{error} There is no Ceph, as on a cluster that does not exist yet.")
    return Outcome(message="no Ceph cluster runs", values={"present": False})


def values(ceph: Ceph) -> dict[str, Any]:
    """The module's result for a look at a cluster."""
    checks = [{"name": item.name, "severity": item.severity, "summary": item.summary, "muted": item.muted, "detail": list(item.detail)} for item in ceph.checks]
    found: dict[str, Any] = {
        "present": True,
        "fsid": ceph.fsid,
        "version": ceph.version,
        "health": {"status": ceph.health, "checks": checks},
        "mons": [{"name": mon.name, "host": mon.host, "in_quorum": mon.in_quorum} for mon in ceph.mons],
        "osds": [osd.as_values() for osd in ceph.osds],
        "placement_groups": ceph.groups.as_values(),
        "recovery": ceph.recovering,
        "capacity": {"total": ceph.total, "used": ceph.used, "available": ceph.available},
        "pools": [pool.as_values() for pool in ceph.pools],
        "filesystems": list(ceph.filesystems),
        "object_stores": list(ceph.object_stores),
        "disruption_budgets": [budget.as_values() for budget in ceph.budgets],
        "flags": list(ceph.flags),
    }
    if ceph.ok_to_stop is not None:
        stop = ceph.ok_to_stop
        found["ok_to_stop"] = {"ok": stop.ok, "osds": list(stop.osds), "inactive": stop.inactive, "problem": stop.problem}
        found["safe_to_destroy"] = list(ceph.destroyable or ())
    return found


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
