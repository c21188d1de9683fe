#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_etcd_probe
short_description: Measure how fast control planes' disks sync what etcd writes, before there is a cluster
version_added: 1.0.0
description:
  - Runs a throw-away etcd on every control plane at once for O(seconds), on the volume where etcd's data will be, and reads its metric
    C(etcd_disk_wal_fsync_duration_seconds). Warns, or fails, when 99 of 100 syncs take longer than a limit; a machine over a limit is measured twice, and
    the better result counts.
  - The load is small records, one synced after another. The metric counts in ranges (up to 1, 2, 4, 8, ... ms), so what is told of a quantile is an estimate
    within a range; the mean is exact. Nothing else uses the disk at that time, so under load it will be slower.
  - Nothing is changed on the machines. The throw-away etcd is the image that Talos runs as etcd anyway, in a container that Talos removes when this task ends
    or is killed. Its metrics are read on the machine's port 12381; its data cannot be reached.
  - Does nothing once etcd is bootstrapped. A machine that cannot be measured (Talos before 1.13, a port that is not open) is a warning.
  - In check mode it only looks whether it would measure.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  endpoints:
    description: Addresses of all control planes.
    type: list
    elements: str
    required: true
  seconds:
    description: How long each disk is measured.
    type: float
    default: 5
  warn:
    description: Warn when the p99 is this many milliseconds or more. V(0) never warns.
    type: float
    default: 10
  refuse:
    description: Fail when the p99 is this many milliseconds or more. V(0) never fails.
    type: float
    default: 100
  talosconfig:
    description: File with the client certificate for the machines, as M(trinode.platform.talos_credentials) writes it.
    type: path
    required: true
  talosctl:
    description: The program C(talosctl), as a path or a name to look for in E(PATH). Not older than 1.13.
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up, all its waits together.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
requirements:
  - talosctl
seealso:
  - module: trinode.platform.talos_bootstrap
"""

EXAMPLES = r"""
- name: Measure the control planes' disks
  trinode.platform.talos_etcd_probe:
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    talosconfig: cluster/talosconfig
    refuse: 50
"""

RETURN = r"""
measured:
  description: What came out on each machine. Empty when etcd was bootstrapped before, and in check mode.
  type: list
  elements: dict
  returned: success, and when a disk is refused
  contains:
    address:
      description: The machine's address.
      type: str
      sample: 192.0.2.11
    name:
      description: Its host name.
      type: str
      sample: m1
    device:
      description: The disk.
      type: str
      sample: /dev/sda (SSD 870, S4X9NF0M, sata)
    verdict:
      description: What the limits make of it. V(unknown) is not measured.
      type: str
      choices: [good, slow, refused, unknown]
      sample: good
    problem:
      description: Why it was not measured.
      type: str
      sample: ""
    p99:
      description: Milliseconds within which 99 of 100 syncs ended. An estimate.
      type: float
      sample: 1.6
    p99_between:
      description: The range in which it lies for certain, in milliseconds; the end is null above the highest range.
      type: list
      elements: float
      sample: [1.0, 2.0]
    p50:
      description: Milliseconds within which half of the syncs ended. An estimate.
      type: float
      sample: 0.5
    mean:
      description: Milliseconds of a sync on average. Exact.
      type: float
      sample: 0.42
    syncs:
      description: How many syncs were measured.
      type: int
      sample: 551
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_latency
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap import CHECK_SECONDS, any_data, await_ready
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_probe import measure_all
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "seconds": {"type": "float", "default": 5},
    "warn": {"type": "float", "default": 10},
    "refuse": {"type": "float", "default": 100},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 600},
}


def run(task: Task) -> Outcome:
    """Measure unless there is a cluster, warn, refuse."""
    params, deadline = task.params, Deadline(task.params["timeout"])
    machines = [Machine(address, talosctl=params["talosctl"], talosconfig=params["talosconfig"]) for address in params["endpoints"]]
    if not machines:
        raise InputError("there are no control planes to measure", where="endpoints")
    if machines[0].context is None and not task.check_mode:
        raise InputError("the talosconfig does not exist", where=params["talosconfig"], hint="Make it first, with talos_credentials.")
    if any_data(machines, deadline=deadline.at_most(CHECK_SECONDS)):
        return Outcome(message="etcd was bootstrapped before.", values={"measured": []})
    if task.check_mode:
        return Outcome(message="The disks of the control planes would be measured before etcd is bootstrapped.", values={"measured": []})
    limits = etcd_latency.Limits(params["warn"], params["refuse"])
    ready = await_ready(machines[0], machines, deadline=deadline)
    probes = measure_all([machine.client() for machine in ready], seconds=params["seconds"], limits=limits, deadline=deadline)
    for line in etcd_latency.warnings(probes, limits):
        task.warn(line)
    etcd_latency.refuse(probes, limits)
    return Outcome(
        message=" ".join(f"{probe.where}: {probe.numbers}." for probe in probes),
        values={"measured": [probe.as_values(limits) for probe in probes]},
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
