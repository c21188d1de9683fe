"""Components whose programs do not what they should, on one machine: each fails alone, in its own time, with what is wrong; the others finish."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from driver import NETWORK_ONLY, Lab, PlaybookRun

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

COMPONENTS = (*NETWORK_ONLY, "cert_manager", "crossplane", "kubelet_csr_approver", "kyverno", "metrics_server")
SECONDS = 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One machine with everything but Crossplane and Kyverno."""
    network = os.environ.get("TRINODE_TEST_ONE_NETWORK", "10.84.0.0/24")
    lab = Lab(name="one", network=network, state=tmp_path_factory.mktemp("one") / "state", machines=1)
    lab.up()
    try:
        run = lab.playbook("site.yml", components=[name for name in COMPONENTS if name not in {"crossplane", "kyverno"}])
        assert run.returncode == 0, run.output
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def faulty(cluster: Lab) -> PlaybookRun:
    """A run with a webhook that never answers (cert-manager's, of a running component) and an operator that does not make its kinds (Crossplane's, new)."""
    cluster.command("fault", "program", "cert-manager-webhook", "mute")
    cluster.command("fault", "program", "crossplane", "no-definitions")
    times = {"cert_manager_timeout": SECONDS, "crossplane_timeout": SECONDS}
    return cluster.playbook("playbooks/platform.yml", components=COMPONENTS, variables=times)


def words(run: PlaybookRun) -> str:
    """The output without the line breaks that Ansible makes."""
    return " ".join(run.output.split())


def test_faulty_components_fail_alone_and_in_their_time(faulty: PlaybookRun) -> None:
    assert faulty.stats["failures"] == {"cert_manager": 1, "crossplane": 1}, faulty.output
    assert set(faulty.stats["ok"]) >= set(COMPONENTS)
    assert faulty.seconds < SECONDS + 90
    assert "Traceback" not in faulty.output


def test_the_others_finish(cluster: Lab, faulty: PlaybookRun) -> None:
    assert faulty.stats["changed"] == {"crossplane": 1, "kyverno": 2}, faulty.output
    ready = cluster.kubectl("-n", "kyverno", "get", "deployment", "kyverno-admission-controller", "-o", "jsonpath={.status.availableReplicas}")
    assert int(ready) >= 1


def test_a_webhook_that_never_answers_is_named(faulty: PlaybookRun) -> None:
    said = words(faulty)
    assert 'Certificate cert-manager/trinode-probe: Internal error occurred: failed calling webhook "webhook.cert-manager.io"' in said
    assert f"tried until the time of {SECONDS} s was over" in said


def test_a_missing_kind_is_named(faulty: PlaybookRun) -> None:
    said = words(faulty)
    assert "its kind CompositeResourceDefinition of apiextensions.crossplane.io" in said
    assert "is not served" in said
    assert f"tried until the time of {SECONDS} s was over" in said


def test_without_the_faults_the_next_run_finishes(cluster: Lab, faulty: PlaybookRun) -> None:
    cluster.command("fault", "program", "cert-manager-webhook", "restore")
    cluster.command("fault", "program", "crossplane", "restore")
    cluster.kubectl("-n", "crossplane-system", "rollout", "restart", "deployment", "crossplane")  # its double makes its kinds as it starts
    run = cluster.playbook("playbooks/platform.yml", components=COMPONENTS)
    assert run.returncode == 0, run.output
