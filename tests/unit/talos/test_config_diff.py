"""Differences between two configurations: which documents, which places, and as text without secrets."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.config_diff import compare, unified

RUNNING = """\
version: v1alpha1
machine:
    type: controlplane
    token: abc
    certSANs: [192.0.2.11]
cluster:
    clusterName: demo
---
apiVersion: v1alpha1
kind: HostnameConfig
hostname: m1
---
apiVersion: v1alpha1
kind: LinkConfig
name: eth0
up: true
"""


def test_equal() -> None:
    assert compare(RUNNING, RUNNING) == []


def test_layout_order_and_comments_are_no_difference() -> None:
    main, host, link = RUNNING.split("---\n")
    reordered = "\n---\n".join([link, host, "# a comment\ncluster: {clusterName: demo}\n" + main.replace("cluster:\n    clusterName: demo\n", "")])
    assert compare(RUNNING, reordered) == []


def test_added_removed_changed_in_the_desired_order() -> None:
    desired = (
        RUNNING.replace("token: abc", "token: xyz")
        .replace("192.0.2.11]", "192.0.2.11, 192.0.2.10]")
        .replace("kind: LinkConfig\nname: eth0", "kind: LinkConfig\nname: eth1")
    )
    changes = compare(RUNNING, desired)
    assert [(change.document.label, change.action) for change in changes] == [
        ("machine and cluster (v1alpha1)", "changed"),
        ("LinkConfig eth1", "added"),
        ("LinkConfig eth0", "removed"),
    ]
    assert changes[0].paths == ("machine.token", "machine.certSANs")


def test_unified_text() -> None:
    desired = RUNNING.replace("token: abc", "token: xyz").replace("hostname: m1", "hostname: m2")
    text = unified(compare(RUNNING, desired))
    assert "abc" not in text
    assert "xyz" not in text
    assert "-  token: <redacted>\n+  token: <redacted, changed>\n" in text
    assert "--- HostnameConfig (running)\n+++ HostnameConfig (rendered)\n" in text
    assert "-hostname: m1\n+hostname: m2\n" in text
    assert "LinkConfig" not in text


def test_order_of_keys_adds_no_lines() -> None:
    desired = RUNNING.replace("    type: controlplane\n    token: abc\n", "    token: abc\n    type: worker\n")
    changed = [line for line in unified(compare(RUNNING, desired)).splitlines() if line.startswith(("+ ", "- "))]
    assert changed == ["-  type: controlplane", "+  type: worker"]


def test_first_configuration_of_a_machine() -> None:
    changes = compare("", RUNNING)
    assert [change.action for change in changes] == ["added"] * 3
    assert changes[1].ansible == {
        "before_header": "HostnameConfig (absent)",
        "after_header": "HostnameConfig (rendered)",
        "before": "",
        "after": "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: m1\n",
    }


def test_removed_document() -> None:
    (change,) = compare(RUNNING, RUNNING.split("---\napiVersion: v1alpha1\nkind: LinkConfig", maxsplit=1)[0])
    assert change.unified.startswith("--- LinkConfig eth0 (running)\n+++ LinkConfig eth0 (absent)\n")


def test_true_is_not_one() -> None:
    (change,) = compare(RUNNING, RUNNING.replace("up: true", "up: 1"))
    assert change.paths == ("up",)


def test_text_that_is_no_configuration() -> None:
    with pytest.raises(InputError, match="running configuration: a document of the configuration is not a mapping"):
        compare("nonsense", RUNNING)
