"""Whether Kubernetes may be upgraded, by tables; and what an API server's metrics say of removed APIs."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.talos.kubernetes_plan import Component, DeprecatedCall, behind, deprecated_calls, objections

METRICS = """# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.37",resource="flowschemas",subresource="status",version="v1beta3"} 1
apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="batch",removed_release="1.36",resource="cronjobs",subresource="",version="v1beta1"} 0
apiserver_request_total{code="200"} 12
"""
CALL = DeprecatedCall("flowcontrol.apiserver.k8s.io/v1beta3", "flowschemas/status", "1.37")


def cluster(control_plane: str = "v1.36.3", kubelet: str = "") -> list[Component]:
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return [Component(name, "m1", control_plane) for name in names] + [Component("kubelet", "m1", kubelet or control_plane)]


def test_the_metrics_say_what_is_in_use() -> None:
    assert deprecated_calls(METRICS) == [CALL]


CASES: list[tuple[list[Component], str, list[str], list[DeprecatedCall], list[str]]] = [
    (cluster(), "v1.36.3", ["v1.13.8"], [CALL], []),
    (cluster(), "v1.36.4", ["v1.13.8"], [CALL], []),
    (cluster("1.36.3", "v1.36.3"), "v1.36.3", ["v1.13.8"], [], []),
    (cluster("v1.35.9"), "v1.36.4", ["v1.13.8"], [], []),
    # Half done: the control plane is ahead of the kubelets.
    (cluster("v1.36.4", "v1.35.9"), "v1.36.4", ["v1.13.8"], [], []),
    (cluster("v1.34.2"), "v1.36.4", ["v1.13.8"], [], ["cannot skip minor releases"]),
    (cluster("v1.36.4"), "v1.36.3", ["v1.13.8"], [], ["go back"]),
    (cluster(), "v1.37.0", ["v1.13.8"], [], ["Talos 1.13 does not go with Kubernetes 1.37.0"]),
    (cluster(), "v1.37.0", ["v1.14.0"], [], []),
    (cluster(), "v1.37.0", ["v1.14.0", "v1.13.8"], [], ["Talos 1.13 does not go"]),
    (cluster(), "v1.37.0", ["v1.14.0"], [CALL], ["flowschemas/status of flowcontrol.apiserver.k8s.io/v1beta3"]),
    (cluster("v1.36.3", "v1.33.0"), "v1.37.0", ["v1.14.0"], [], ["cannot skip", "more than 3 minor releases older"]),
    (cluster(), "latest", ["v1.13.8"], [], ["no version of Kubernetes"]),
    ([], "v1.36.3", [], [], ["does not tell what runs"]),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_objections(case: int) -> None:
    components, wanted, talos, calls, expected = CASES[case]
    found = objections(components, wanted, talos, calls)
    assert len(found) == len(expected), found
    for text, part in zip(found, expected, strict=True):
        assert part in text


def test_what_is_behind() -> None:
    assert [component.name for component in behind(cluster("v1.36.4", "v1.36.3"), "1.36.4")] == ["kubelet"]
    assert behind(cluster("1.36.4"), "v1.36.4") == []
