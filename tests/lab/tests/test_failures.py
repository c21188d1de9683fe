"""What can go wrong on the way to a cluster, provoked: each ends within its deadline with one readable message. Refusals leave the machines as they are."""

from __future__ import annotations

import pytest
from driver import Lab, failed

pytestmark = pytest.mark.lab


def test_machine_off(lab: Lab) -> None:
    lab.command("power", "off", "m2")
    events = len(lab.changes())
    try:
        run = lab.playbook("site.yml", variables={"trinode_boot_timeout": 3})
        failed(run, f"m2: the machine at {lab.address(2)} does not answer. Boot it from http://", "metal-amd64.iso", within=60)
        assert lab.changes()[events:] == []
    finally:
        lab.command("power", "on", "m2")
        lab.wait_for_stage("m2", "maintenance")


def test_wrong_address(lab: Lab) -> None:
    run = lab.playbook("playbooks/preflight.yml", variables={"machine_address": "{{ lab_prefix }}.{{ 201 + groups['machines'].index(inventory_hostname) }}"})
    prefix = lab.address(1).rsplit(".", 1)[0]
    failed(run, f"the machine does not answer at {prefix}.202", "machine_address", "the address is right", within=60)


def test_certificate_mismatch(lab: Lab) -> None:
    run = lab.playbook("site.yml", variables={"machine_certificate_fingerprint": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})
    failed(run, "fingerprint", "machine_certificate_fingerprint", within=60)


def test_install_disk_missing(lab: Lab) -> None:
    run = lab.playbook("site.yml", variables={"machine_install_disk": {"serial": "NO-SUCH-{{ inventory_hostname }}"}})
    failed(run, "no disk of the machine has serial NO-SUCH-m1", "machine_install_disk", "M1-SYS", within=60)


def test_install_disk_ambiguous(lab: Lab) -> None:
    run = lab.playbook("site.yml", variables={"machine_install_disk": {"type": "ssd"}})
    failed(run, "machine_install_disk", "4 disks of the machine have type ssd", within=60)


def test_config_rejected(lab: Lab) -> None:
    run = lab.playbook("site.yml", variables={"machine_patches": [{"machine": {"nodeLabelz": {"a": "b"}}}]})
    failed(run, "nodeLabelz", "machine_patches", within=60)


@pytest.mark.chaos
def test_an_image_that_cannot_be_pulled_then_a_kill_then_the_run_that_finishes(lab: Lab) -> None:
    lab.again()
    lab.command("fault", "image-unpullable", "etcd")
    run = lab.playbook("site.yml", variables={"trinode_cluster_timeout": 60, "trinode_machine_timeout": 60})
    failed(run, "image", "etcd", within=180)
    lab.command("fault", "image-restore", "etcd")
    lab.killed_playbook("site.yml", after=30)
    finished = lab.playbook("site.yml")
    assert finished.returncode == 0, finished.output
    assert [event["event"] for event in lab.changes()].count("bootstrap") == 1
