# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""preflight with the real talosctl; the same inside the worker as in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from both_ways import Case, comparable, run
from talosctl_program import talosctl

pytestmark = pytest.mark.slow

MODULE = "trinode.platform.preflight"


def host(name: str, **variables: Any) -> dict[str, Any]:
    entries = {key: {"value": value, "origin": {"file": "all.yml", "line": number}} for number, (key, value) in enumerate(variables.items(), start=1)}
    return {"name": name, "variables": entries}


def settings(helm: str, **changes: Any) -> dict[str, Any]:
    cluster = {"trinode_cluster_name": "trial", "trinode_talos_version": "v1.13.8", "trinode_talosctl": talosctl(), "trinode_helm": helm, **changes}
    return {"cluster": host("all", **cluster), "machines": [host("m1", machine_address="192.0.2.11", machine_hostname="m1", machine_role="controlplane")]}


def test_both_ways(tmp_path: Path) -> None:
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\necho v3.22.0\n")
    helm.chmod(0o700)
    good = settings(str(helm))
    cases = [
        Case("good", MODULE, {"settings": good}),
        Case("findings", MODULE, {"settings": settings(str(helm), trinode_vip="192.0.2.11", trinode_pod_cidrs="10.244.0.0/16")}, {"check_mode": True}),
        Case("unreachable", MODULE, {"settings": good, "phase": "machines", "machines_observed": {"m1": {"trust": "unreachable", "problem": "no answer"}}}),
        Case("wrong options", MODULE, {"settings": good, "phase": "dynamic"}),
    ]
    results = run(cases, tmp_path)
    for case in cases:
        assert comparable(results["in_process"][case.name]) == comparable(results["ordinary"][case.name])
    found = results["in_process"]
    assert found["good"]["msg"].startswith("Checked 1 machine and 0 components: settings, ")
    assert found["findings"]["findings"] == 2
    assert "all.yml:5: all: trinode_vip: the virtual address 192.0.2.11 is the address of m1." in found["findings"]["msg"]
    assert found["unreachable"]["msg"].splitlines()[1].startswith("all.yml:1: m1: machine_address: the machine does not answer at 192.0.2.11 (no answer).")
    assert found["wrong options"]["failed"]
