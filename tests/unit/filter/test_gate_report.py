# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's result as lines for a person."""

from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.gate_report import gate_report

FINDING = {"check": "etcd", "where": "cluster", "problem": "no leader", "advice": "Wait."}


def test_open() -> None:
    assert gate_report({"passed": True, "findings": [], "warned": [], "table": ["CHECK"], "machines": ["MACHINE"]}) == [
        "The gate is open.",
        "",
        "CHECK",
        "",
        "MACHINE",
    ]


def test_closed() -> None:
    lines = gate_report({"passed": False, "findings": [FINDING], "warned": [{**FINDING, "advice": ""}], "table": []})
    assert lines == [
        "The gate is closed.",
        "",
        "",
        "Findings:",
        "  etcd: cluster: no leader. Wait.",
        "",
        "Warnings, which do not close it:",
        "  etcd: cluster: no leader.",
    ]
