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


def test_a_prediction_says_so() -> None:
    gate = {"passed": False, "findings": [{"check": "machines", "where": "m1", "problem": "in maintenance mode"}], "table": []}
    assert summary(gate, **COMMON, phases=[], now=0, check_mode=True)[0].startswith("Check mode: nothing was changed.")
    assert not summary(gate, **COMMON, phases=[], now=0)[0].startswith("Check mode")


def test_components_interfaces_and_the_longest_chain() -> None:
    routes = [{"title": "Grafana", "url": "https://grafana.home.internal", "password": "kubectl get secret"}]
    records = [
        {"component": "cilium", "state": "rendering", "time": 0.0},
        {"component": "cilium", "state": "ready", "time": 20.0, "values": {"versions": {"cilium": "1.20.0"}}},
        {"component": "grafana", "state": "waiting", "time": 1.0, "values": {"needs": ["cilium"]}},
        {"component": "grafana", "state": "ready", "time": 27.0, "values": {"versions": {"grafana": "13.2.0"}, "routes": routes}},
        {"component": "loki", "state": "failed", "time": 25.0, "detail": "its image cannot be pulled"},
    ]
    lines = summary({"passed": True, "table": []}, **COMMON, phases=[], now=0, records=records)
    assert lines[3:] == [
        "COMPONENT  STATE   TOOK  VERSION",
        "loki       failed  0 s   its image cannot be pulled",
        "cilium     ready   20 s  1.20.0",
        "grafana    ready   7 s   13.2.0",
        "",
        "Kubernetes API  https://192.0.2.10:6443",
        "kubeconfig      k",
        "talosconfig     t",
        "",
        "INTERFACE  ADDRESS                        FIRST PASSWORD",
        "Grafana    https://grafana.home.internal  kubectl get secret",
        "Longest chain of needs: cilium 20 s → grafana 7 s",
    ]


def test_what_delivers_the_platform_and_what_is_missing_for_it() -> None:
    git = {"url": "https://git.example.org/me/platform.git", "branch": "main", "repository": "cluster/platform.git", "missing": [], "applications": [{}, {}]}

    def line(**other: object) -> str:
        lines = summary({"passed": True, "table": []}, **COMMON, phases=[], now=0, git={**git, **other})
        return next(line for line in lines if line.startswith("GitOps"))

    assert line() == "GitOps          https://git.example.org/me/platform.git, branch main: 2 Applications, Synced and Healthy"
    assert line(applications=[]).endswith("branch main: Argo CD has not taken over yet")
    assert line(missing=["trinode_git_url", "argo_cd"]) == (
        "GitOps          none: trinode_git_url and argo_cd missing. What is installed is kept in cluster/platform.git"
    )
