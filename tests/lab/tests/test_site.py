"""The main job on three real Talos machines: look, build, repeat, look again."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from driver import Lab, PlaybookRun, failed, slowness

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def boots(lab: Lab) -> int:
    """New machines, and how many changes they have seen before anybody looked: their boots."""
    return len(lab.changes())


@pytest.fixture(scope="module")
def checked(lab: Lab, boots: int) -> PlaybookRun:
    """``site.yml --check --diff`` on untouched machines."""
    return lab.playbook("site.yml", options="--check --diff")


@pytest.fixture(scope="module")
def built(lab: Lab, checked: PlaybookRun) -> PlaybookRun:
    """The first real run."""
    return lab.playbook("site.yml")


def _kubectl(lab: Lab, *arguments: str) -> str:
    programs = lab.command("bin").strip()
    return subprocess.run(
        [os.path.join(programs, "kubectl"), "--kubeconfig", str(lab.state / "cluster" / "kubeconfig"), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_check_on_untouched_machines_shows_what_would_happen_and_changes_nothing(lab: Lab, boots: int, checked: PlaybookRun) -> None:
    assert checked.returncode == 0, checked.output
    assert lab.changes()[boots:] == []
    assert list((lab.state / "cluster").iterdir()) == [], "--check wrote credentials"
    assert checked.total("changed") > 0
    for text in ("kind: HostnameConfig", "diskSelector", "<redacted"):
        assert text in checked.output


def test_first_run_makes_a_highly_available_cluster(lab: Lab, built: PlaybookRun) -> None:
    assert built.returncode == 0, built.output
    nodes = json.loads(_kubectl(lab, "get", "nodes", "-o", "json"))["items"]
    ready = {
        node["metadata"]["name"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready" and condition["status"] == "True"
    }
    assert ready == {"m1", "m2", "m3"}
    assert [event["event"] for event in lab.changes()].count("bootstrap") == 1


def test_credentials_are_private(lab: Lab, built: PlaybookRun) -> None:
    directory = lab.state / "cluster"
    for name in ("secrets.yaml", "talosconfig", "kubeconfig"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600, name
    assert (directory / "secrets.yaml").read_text().startswith("$ANSIBLE_VAULT;")


def test_no_secret_in_the_output(lab: Lab, built: PlaybookRun) -> None:
    """Keys are long base64 strings that begin alike: no PEM key, encoded or not, may be printed even at -vvv."""
    loud = lab.playbook("site.yml", options="--check --diff -vvv")
    for text in ("PRIVATE KEY-----", "LS0tLS1CRUdJTiBFRDI1NTE5IFBSSVZBVEUgS0VZ", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVk", "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS"):
        assert text not in loud.output
        assert text not in built.output


def test_second_run_changes_nothing(lab: Lab, built: PlaybookRun) -> None:
    events = len(lab.changes())
    again = lab.playbook("site.yml")
    assert again.returncode == 0, again.output
    assert again.total("changed") == 0, again.output
    assert len(lab.changes()) == events


def test_a_second_run_over_the_machines_alone_is_fast(lab: Lab, built: PlaybookRun) -> None:
    again = lab.playbook("site.yml", options="--limit localhost,machines")
    assert again.returncode == 0, again.output
    assert again.total("changed") == 0, again.output
    # The goal is 10 s, and it took 8 to 9 s on a fast day; on a computer whose two cores are threads of one it took 19 to 21 s. This is about its own work.
    assert again.processor_seconds < 18 * slowness(), again.processor_seconds


def test_check_on_a_finished_cluster_says_nothing_to_do(lab: Lab, built: PlaybookRun) -> None:
    events = len(lab.changes())
    again = lab.playbook("site.yml", options="--check --diff")
    assert again.returncode == 0, again.output
    assert again.total("changed") == 0, again.output
    assert len(lab.changes()) == events


def test_a_changed_setting_is_predicted_and_applied_without_a_reboot(lab: Lab, built: PlaybookRun) -> None:
    patch = {"machine_patches": [{"machine": {"nodeLabels": {"example.org/rack": "a"}}}]}
    predicted = lab.playbook("site.yml", options="--check --diff", variables=patch)
    assert predicted.returncode == 0, predicted.output
    assert "+    example.org/rack: a" in predicted.output.replace("'", "")
    assert predicted.total("changed") == 3
    applied = lab.playbook("site.yml", variables=patch)
    assert applied.returncode == 0, applied.output
    assert applied.total("changed") == 3
    assert "reboot" not in {event["event"] for event in lab.changes()[-3:]}
    undone = lab.playbook("site.yml")
    assert undone.total("changed") == 3


def test_the_summary_names_what_a_person_needs(lab: Lab, built: PlaybookRun) -> None:
    for text in ("m1", "m2", "m3", "v1.13.8", "v1.36.3", str(lab.state / "cluster" / "kubeconfig"), lab.address(1)):
        assert text in built.output


def test_machines_of_another_cluster_are_refused(lab: Lab, built: PlaybookRun) -> None:
    events = len(lab.changes())
    stranger = {"trinode_directory": str(lab.state / "another")}
    failed(lab.playbook("site.yml", variables=stranger), "does not belong to this cluster", within=60)
    assert len(lab.changes()) == events


def test_a_machine_is_reset_after_its_name_was_given_and_joins_again(lab: Lab, built: PlaybookRun) -> None:
    events = len(lab.changes())
    unconfirmed = lab.playbook("playbooks/reset.yml", options="--limit m3")
    assert unconfirmed.returncode != 0
    assert "is not the machine's host name 'm3'; nothing was done" in unconfirmed.output
    assert lab.changes()[events:] == []
    reset = lab.playbook("playbooks/reset.yml", options="--limit m3", variables={"machine_reset_confirm": "m3"})
    assert reset.returncode == 0, reset.output
    lab.wait_for_stage("m3", "maintenance")
    assert {event["machine"] for event in lab.changes()[events:]} == {"m3"}
    joined = lab.playbook("site.yml")
    assert joined.returncode == 0, joined.output
    assert "Cluster tests is well." in joined.output


@pytest.mark.chaos
def test_changes_that_need_a_reboot_are_refused_then_done_one_machine_at_a_time(lab: Lab, built: PlaybookRun) -> None:
    patch = {"machine_patches": [{"machine": {"env": {"LAB_TRIAL": "1"}}}]}
    events = len(lab.changes())
    refused = lab.playbook("site.yml", variables=patch)
    assert refused.returncode != 0
    assert "the change needs a reboot, which is not allowed here: machine.env. Set trinode_allow_reboot" in refused.output
    assert lab.changes()[events:] == []
    allowed = lab.playbook("site.yml", variables={**patch, "trinode_allow_reboot": True})
    assert allowed.returncode == 0, allowed.output
    disruptions = [(event["machine"], event["event"]) for event in lab.changes()[events:] if event["event"] in ("apply-configuration", "reboot", "boot")]
    order = list(dict.fromkeys(machine for machine, _event in disruptions))
    assert sorted(order) == ["m1", "m2", "m3"]
    expected = [(machine, event) for machine in order for event in ("apply-configuration", "reboot", "boot")]
    assert disruptions == expected, "two machines were out at once"
    again = lab.playbook("site.yml", variables={**patch, "trinode_allow_reboot": True})
    assert (again.returncode, again.total("changed")) == (0, 0), again.output


def test_etcd_without_quorum_is_named(lab: Lab, built: PlaybookRun) -> None:
    """The last of this file: the cluster is left without two machines."""
    lab.command("power", "off", "m2")
    lab.command("power", "off", "m3")
    # Drift is another matter: without an API server its look takes its own time, minutes.
    run = lab.playbook("playbooks/verify.yml", variables={"trinode_cluster_timeout": 20, "trinode_verify_drift": False})
    failed(run, "voters are healthy, the quorum is 2", lab.address(2), lab.address(3), within=90 * slowness())
