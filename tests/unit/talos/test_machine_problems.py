from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import ServiceState
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_problems import PullFailure, describe_services, explain_pull

NOT_FOUND = (
    'could not pull registry.k8s.io/etcd:v3.6.12: error pulling image: 1 error(s) occurred: failed to pull image "registry.k8s.io/etcd:v3.6.12": '
    'failed to resolve reference "registry.k8s.io/etcd:v3.6.12": registry.k8s.io/etcd:v3.6.12: not found'
)


@pytest.mark.parametrize(
    ("message", "reason", "final"),
    [
        (NOT_FOUND, "does not have it", True),
        ('failed to do request: Head "https://ghcr.io/v2/x": dial tcp: lookup ghcr.io on 127.0.0.53:53: no such host', "does not resolve", False),
        ("unexpected status from HEAD request: 401 Unauthorized", "not authorized", True),
        ("pull access denied, repository does not exist or may require authorization", "not authorized", True),
        ('failed to do request: Head "http://192.0.2.1:5000/v2/x": dial tcp 192.0.2.1:5000: connect: connection refused', "refuses the connection", False),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "not trusted", False),
        ("http: server gave HTTP response to HTTPS client", "plain HTTP", False),
        ("dial tcp 192.0.2.1:443: i/o timeout", "does not answer", False),
        ("something else: no space left on device", "no space left on device", False),
    ],
)
def test_pulls(message: str, reason: str, final: bool) -> None:
    found = explain_pull(message)
    assert reason in found[0]
    assert found[1] is final


def test_a_failure_names_service_image_and_remedy() -> None:
    failure = PullFailure("etcd", "registry.k8s.io/etcd:v3.6.12", "the registry does not have it", True)
    assert "etcd waits for the image registry.k8s.io/etcd:v3.6.12" in failure.text
    assert "trinode_registry_mirrors" in failure.hint


def test_services_that_are_late() -> None:
    services = [
        ServiceState("apid", "Running", "OK", "Health check successful"),
        ServiceState("kubelet", "Running", "Fail", "Health check failed."),
        ServiceState("etcd", "Preparing", "?", "Running pre state"),
        ServiceState("setup", "Finished", "?", "Done"),
    ]
    assert describe_services(services) == "kubelet is Running (Health check failed); etcd is Preparing (Running pre state)"
    assert describe_services(services[:1]) == ""
