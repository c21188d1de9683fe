from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.summary import summary

COMMON = {"cluster_name": "home", "endpoint": "https://192.0.2.10:6443", "kubeconfig": "k", "talosconfig": "t"}


def test_a_good_run_with_phases() -> None:
    gate = {"passed": True, "findings": [], "table": ["MACHINE", "m1"]}
    phases = [{"name": "preflight", "start": 100.0}, {"name": "cluster", "start": 103.0}]
    assert summary(gate, **COMMON, phases=phases, now=163.4) == [
        "Cluster home is well.",
        "",
        "MACHINE",
        "m1",
        "",
        "Kubernetes API  https://192.0.2.10:6443",
        "kubeconfig      k",
        "talosconfig     t",
        "",
        "Took 63 s: preflight 3 s, cluster 60 s",
    ]


def test_findings_are_listed_and_no_phases_give_no_times() -> None:
    gate = {"passed": False, "findings": [{"check": "etcd", "where": "cluster", "problem": "no leader", "advice": "Wait."}], "table": []}
    lines = summary(gate, **COMMON, phases=[], now=0)
    assert lines[:2] == ["Cluster home is not well:", "etcd: cluster: no leader"]
    assert not any(line.startswith("Took") for line in lines)
