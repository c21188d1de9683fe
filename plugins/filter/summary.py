# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing lines of a run: what there is, how to use it, and how long it took."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
short_description: The closing lines of a run
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes the result of M(trinode.platform.gate) and returns lines for a person.
positional: _input
options:
  _input:
    description: Result of M(trinode.platform.gate).
    type: dict
    required: true
  cluster_name:
    description: The cluster's name.
    type: str
    required: true
  endpoint:
    description: URL of the Kubernetes API.
    type: str
    required: true
  kubeconfig:
    description: Where the kubeconfig lies.
    type: str
    required: true
  talosconfig:
    description: Where the talosconfig lies.
    type: str
    required: true
  phases:
    description: Name and start (seconds since the epoch) of every phase of this run, in order. May be empty.
    type: list
    elements: dict
    required: true
  now:
    description: The end of the last phase, seconds since the epoch.
    type: float
    required: true
  check_mode:
    description: Whether the run only predicted.
    type: bool
    default: false
  records:
    description: What the components did in this run, from the lookup P(trinode.platform.run_records#lookup).
    type: list
    elements: dict
    default: []
  git:
    description:
      - C(url) and C(branch) of the repository; C(repository), where it is kept here; C(missing), what the inventory lacks for GitOps; and C(applications),
        those that were handed over.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what there is
  ansible.builtin.debug:
    msg: >-
      {{ gate_result | trinode.platform.summary(cluster_name='home', endpoint='https://192.0.2.10:6443', kubeconfig='cluster/kubeconfig',
      talosconfig='cluster/talosconfig', phases=[], now=0) }}
"""

RETURN = r"""
_value:
  description: Lines.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.journey import Journey, critical_path, journeys
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import Record
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned


def summary(
    gate: Mapping[str, Any],
    *,
    cluster_name: str,
    endpoint: str,
    kubeconfig: str,
    talosconfig: str,
    phases: Sequence[Mapping[str, Any]],
    now: float,
    check_mode: bool = False,
    records: Sequence[Mapping[str, Any]] = (),
    git: Mapping[str, Any] | None = None,
) -> list[str]:
    """Lines for a person; see DOCUMENTATION."""
    findings = [f"{finding['check']}: {finding['where']}: {finding['problem']}" for finding in gate.get("findings", [])]
    state = "is well." if gate.get("passed") else "is not well:"
    lines = ["Check mode: nothing was changed. Machines are shown as they are, components as they would be.", ""] if check_mode else []
    machines = gate.get("machines", [])
    lines += [f"Cluster {cluster_name} {state}", *findings, "", *gate.get("table", []), "", *([*machines, ""] if machines else [])]
    found = journeys(Record(**record) for record in records)
    lines += _components(found)
    lines += [f"Kubernetes API  {endpoint}", f"kubeconfig      {kubeconfig}", f"talosconfig     {talosconfig}"]
    lines += [f"GitOps          {_gitops(git)}"] if git else []
    lines += _interfaces(found)
    if phases:
        ends = [*(float(phase["start"]) for phase in phases[1:]), now]
        parts = [f"{phase['name']} {end - float(phase['start']):.0f} s" for phase, end in zip(phases, ends, strict=True)]
        lines += ["", f"Took {now - float(phases[0]['start']):.0f} s: {', '.join(parts)}"]
    if len(path := critical_path(found)) > 1:
        lines.append(f"Longest chain of needs: {' → '.join(f'{step.component} {step.own_seconds:.0f} s' for step in path)}")
    return lines


def _gitops(git: Mapping[str, Any]) -> str:
    if git["missing"]:
        return f"none: {' and '.join(git['missing'])} missing. What is installed is kept in {git['repository']}"
    place = f"{git['url']}, branch {git['branch']}"
    handed = len(git["applications"])
    return f"{place}: {handed} Applications, Synced and Healthy" if handed else f"{place}: Argo CD has not taken over yet"


def _components(found: Mapping[str, Journey]) -> list[str]:
    """A table of the components, those that are not well first."""
    if not found:
        return []
    rows = [("COMPONENT", "STATE", "TOOK", "VERSION")]
    for journey in sorted(found.values(), key=lambda journey: (journey.state not in ("failed", "blocked"), journey.component)):
        versions = " ".join(dict.fromkeys(str(version) for version in journey.versions.values()))
        rows.append((journey.component, journey.state, f"{journey.own_seconds:.0f} s", journey.detail if journey.state in ("failed", "blocked") else versions))
    return [*aligned(rows), ""]


def _interfaces(found: Mapping[str, Journey]) -> list[str]:
    """The user interfaces, each with how to get the first password."""
    routes = sorted((route["title"], route["url"], route.get("password", "")) for journey in found.values() for route in journey.routes)
    return ["", *aligned([("INTERFACE", "ADDRESS", "FIRST PASSWORD"), *routes])] if routes else []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"summary": summary}
