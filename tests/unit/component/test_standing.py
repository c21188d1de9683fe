# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against uninstalling, and what makes a namespace stay."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component import generate, standing
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import GeneratedSecret, read
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import Installed
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError

DEFINITION = {"name": "probe", "title": "Probe", "namespace": "probe", "charts": [{"pin": "p", "version": "1.0.0"}]}
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk", "namespace": "n"}}


def test_who_needs_it() -> None:
    installed = {name: Installed(name, "r", needs) for name, needs in (("probe", ()), ("b", ("probe", "x")), ("a", ("probe",)), ("c", ("probes",)))}
    assert standing.needed_by("probe", installed) == ["a", "b"]


@pytest.mark.parametrize(
    ("needed", "data", "holds", "confirmed", "words"),
    [
        ([], [], False, "", ""),
        ([], [CLAIM], False, "probe", ""),
        ([], [], True, "probe", ""),
        (["a"], [], False, "probe", "a needs it. Uninstall a first."),
        (["a", "b"], [], False, "", "a, b need it. Uninstall a, b first."),
        ([], [], True, "", "it holds data. To delete that data for good: -e component_destroy_data=probe."),
        ([], [CLAIM], False, "other", "it holds data: PersistentVolumeClaim n/disk. To delete"),
        (["a"], [CLAIM] * 7, False, "", "a needs it and it holds data: PersistentVolumeClaim n/disk, "),
    ],
)
def test_refusals(needed: list[str], data: list[dict[str, Any]], holds: bool, confirmed: str, words: str) -> None:
    definition = read({**DEFINITION, "data": holds})
    if not words:
        standing.refuse(definition, needed, data, confirmed)
        return
    with pytest.raises(RefusedError) as caught:
        standing.refuse(definition, needed, data, confirmed)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "metadata", "stranger", "when_confirmed"),
    [
        ("ConfigMap", {"name": "mine"}, True, False),
        ("ConfigMap", {"name": "kube-root-ca.crt"}, False, False),
        ("ServiceAccount", {"name": "default"}, False, False),
        ("Event", {"name": "x"}, False, False),
        ("Deployment", {"name": "x"}, True, True),
        ("Pod", {"name": "x", "ownerReferences": [{}]}, False, False),
        ("Pod", {"name": "x", "deletionTimestamp": "now"}, False, False),
        ("Deployment", {"name": "x", "labels": {"applyset.kubernetes.io/part-of": "ours"}}, False, False),
        ("Secret", {"name": "x", "labels": {"applyset.kubernetes.io/part-of": "theirs"}}, True, True),
        ("Secret", {"name": "x", "labels": {"trinode.dev/component": "probe"}}, False, False),
        ("Secret", {"name": "x", "annotations": {"cert-manager.io/certificate-name": "x"}}, False, False),
        ("PersistentVolumeClaim", {"name": "x"}, True, False),
    ],
)
def test_strangers(kind: str, metadata: dict[str, Any], stranger: bool, when_confirmed: bool) -> None:
    item = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    assert bool(standing.strangers([item], "ours", "probe", destroy_data=False)) is stranger
    assert bool(standing.strangers([item], "ours", "probe", destroy_data=True)) is when_confirmed


@pytest.mark.parametrize(
    ("api_version", "kind", "data"),
    [
        ("v1", "Namespace", False),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", False),
        ("v1", "PersistentVolumeClaim", True),
        ("postgresql.cnpg.io/v1", "Cluster", True),
        ("example.org/v1", "Cluster", False),
    ],
)
def test_what_holds_data(api_version: str, kind: str, data: bool) -> None:
    assert standing.holds_data({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}) is data


def test_generated_secrets_keep_what_is_there() -> None:
    wanted = GeneratedSecret("s", "n", {"user": "admin"}, {"password": 20, "key": 8})
    data = generate.missing(wanted, {"password": "there"})
    assert sorted(data) == ["key", "user"]
    assert data["user"] == "YWRtaW4="
    assert generate.missing(wanted, {"user": "", "password": "", "key": ""}) == {}
    assert generate.missing(wanted, {})["password"] != generate.missing(wanted, {})["password"]
