from __future__ import annotations

import json

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError
from ansible_collections.trinode.platform.plugins.module_utils.talos import client_output as output

SERVICES = """NODE         SERVICE      STATE       HEALTH   LAST CHANGE   LAST EVENT
192.0.2.11   apid         Running     OK       4s ago        Health check successful
192.0.2.11   etcd         Preparing   ?        1m15s ago     Running pre state
192.0.2.11   kubelet      Failed      ?        2m0s ago      Failed to run pre stage: 1 error(s) occurred:
"""
MEMBERS = """NODE         ID                 HOSTNAME   PEER URLS                  CLIENT URLS                LEARNER
192.0.2.11   426471908b68e280   m2         https://192.0.2.12:2380    https://192.0.2.12:2379    false
192.0.2.11   909cd79f820e475f   m3         https://192.0.2.13:2380    https://192.0.2.13:2379    true
"""
_STATUS_ROWS = (
    ("NODE", "MEMBER", "DB SIZE", "IN USE", "LEADER", "RAFT INDEX", "RAFT TERM", "RAFT APPLIED INDEX", "LEARNER", "PROTOCOL", "STORAGE", "ERRORS"),
    ("192.0.2.11", "90cb20435d307785", "37 kB", "25 kB (66.67%)", "90cb20435d307785", "92", "2", "92", "false", "3.6.0", "3.6.0", ""),
)
STATUS = "".join("".join(cell.ljust(21) for cell in row) + "\n" for row in _STATUS_ROWS)
ALARMS = """NODE         MEMBER             ALARM
192.0.2.11   90cb20435d307785   NOSPACE
"""
LISTING = """NODE         NAME
192.0.2.11   .
192.0.2.11   member
"""
RESOURCE = {
    "metadata": {"created": "2026-11-24T13:17:04Z", "id": "machine", "namespace": "runtime", "phase": "running", "type": "MachineStatuses.runtime.talos.dev"},
    "node": "192.0.2.11",
    "spec": {"stage": "running", "note": "a brace }\nin a text"},
}


def text_of(*resources: object) -> str:
    return "".join(json.dumps(resource, indent=4) + "\n" for resource in resources)


def test_resources() -> None:
    first, second = output.parse_resources(text_of(RESOURCE, {**RESOURCE, "event": "updated"}))
    assert (first.id, first.spec["stage"], first.created, first.event) == ("machine", "running", "2026-11-24T13:17:04Z", "")
    assert second.event == "updated"


def test_no_resources() -> None:
    assert output.parse_resources("") == []
    assert output.parse_resources("\n") == []


def test_a_stream_is_cut_wherever_it_arrives() -> None:
    text = text_of(RESOURCE, RESOURCE, RESOURCE)
    for size in (1, 7, 64, 1000):
        stream = output.ResourceStream()
        found = [resource for start in range(0, len(text), size) for resource in stream.feed(text[start : start + size])]
        assert len(found) == 3


def test_a_spec_that_is_text_is_kept() -> None:
    (found,) = output.parse_resources(text_of({**RESOURCE, "spec": "version: v1alpha1\n"}))
    assert found.spec == {"text": "version: v1alpha1\n"}


@pytest.mark.parametrize("text", ["usage: talosctl\n}\n", text_of({"spec": {}}), text_of([1, 2])[:0] + "[\n]\n}\n"])
def test_what_is_no_resource_is_said(text: str) -> None:
    with pytest.raises(CommandError):
        output.parse_resources(text)


def test_services() -> None:
    apid, etcd, kubelet = output.parse_services(SERVICES)
    assert (apid.id, apid.state, apid.health, apid.last_event) == ("apid", "Running", "OK", "Health check successful")
    assert (etcd.state, etcd.health) == ("Preparing", "?")
    assert kubelet.last_event.startswith("Failed to run pre stage")


def test_etcd_members() -> None:
    voter, learner = output.parse_etcd_members(MEMBERS)
    assert (voter.hostname, voter.id, voter.client_urls, voter.learner) == ("m2", "426471908b68e280", ("https://192.0.2.12:2379",), False)
    assert learner.learner


def test_etcd_status() -> None:
    status = output.parse_etcd_status(STATUS)
    assert status is not None
    assert (status.member_id, status.leader, status.db_size, status.raft_index, status.learner, status.errors) == (
        "90cb20435d307785",
        "90cb20435d307785",
        "37 kB",
        92,
        False,
        "",
    )
    assert output.parse_etcd_status("") is None


def test_etcd_status_with_an_error() -> None:
    status = output.parse_etcd_status(STATUS.rstrip("\n")[:-21] + "etcdserver: no leader\n")
    assert status is not None
    assert status.errors == "etcdserver: no leader"


def test_alarms() -> None:
    assert output.parse_etcd_alarms(ALARMS) == [("90cb20435d307785", "NOSPACE")]
    assert output.parse_etcd_alarms("") == []


def test_names() -> None:
    assert output.parse_names(LISTING) == ["member"]
    assert output.parse_names("NODE         NAME\n192.0.2.11   .\n") == []


@pytest.mark.parametrize(
    ("text", "needs_reboot", "no_changes"),
    [
        ("Dry run summary:\nApplied configuration without a reboot (skipped in dry-run).\nConfig diff:\n\nNo changes.\n", False, True),
        ("Dry run summary:\nApplied configuration without a reboot (skipped in dry-run).\nConfig diff:\nNo changes.\n", False, True),
        ("Dry run summary:\nApplied configuration with a reboot (skipped in dry-run).\nConfig diff:\n\n--- a\n+++ b\n", True, False),
        (
            "Dry run summary:\nApplied configuration with a reboot: this config change can't be applied (skipped in dry-run).\nConfig diff:\n\n--- a\n",
            True,
            False,
        ),
        ("Dry run summary:\nApplied configuration without a reboot (skipped in dry-run).\nConfig diff:\n\n+ # with a reboot\n", False, False),
        ("Node is running in maintenance mode and does not have a config yet.\n", False, False),
    ],
)
def test_dry_run(text: str, needs_reboot: bool, no_changes: bool) -> None:
    assert output.parse_dry_run(text) == output.DryRun(needs_reboot, no_changes)
