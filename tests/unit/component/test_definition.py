# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component import pins
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import examine, read
from ansible_collections.trinode.platform.plugins.module_utils.component.secrets import hidden_values, shown_params
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart
from ansible_collections.trinode.platform.plugins.module_utils.helm.manifest_file import ManifestFile

CHART = {"pin": "probe", "version": "1.0.0"}
LEAST = {"name": "probe", "title": "Probe", "namespace": "probe", "charts": [CHART]}


def test_what_is_not_given_follows_from_the_rest() -> None:
    definition = read(
        {
            **LEAST,
            "charts": [CHART],
            "routes": [{"name": "ui", "title": "UI", "service": "ui", "port": 80}],
            "generated_secrets": [{"name": "s", "values": {"n": 1}}],
        }
    )
    [chart] = definition.charts
    assert (chart.release, chart.namespace, chart.values) == ("probe", "probe", {})
    assert definition.routes[0].namespace == definition.generated_secrets[0].namespace == "probe"
    assert definition.generated_secrets[0].values == {"n": "1"}
    assert definition.timeout == 600
    assert definition.versions == {"probe": "1.0.0"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ""}, "name: is missing"),
        ({"name": "Cert-Manager"}, "name: 'Cert-Manager' is no name of a role"),
        ({"title": 1}, "title: 1 is not a text"),
        ({"namespace": "Über"}, "namespace: 'Über' is no name that Kubernetes takes"),
        ({"timeout": True}, "timeout: True is not a whole number"),
        ({"timeout": "10m"}, "timeout: '10m' is not a whole number"),
        ({"data": "yes"}, "data: 'yes' is not true or false"),
        ({"needs": "cilium"}, "needs: 'cilium' is not a list"),
        ({"needs": ["cilium", 1]}, "needs: 1 is not a name"),
        ({"charts": []}, "charts, resources: there is nothing to install"),
        ({"charts": ["x"]}, "charts[0]: not a dictionary"),
        ({"charts": [CHART, CHART]}, "charts[1].release: 'probe' is there twice"),
        ({"charts": [{**CHART, "version": "latest"}]}, "charts[0].version: 'latest' is not an exact version"),
        ({"charts": [{**CHART, "version": 1.0}]}, "charts[0].version: 1.0 is not a text"),
        ({"namespaces": [{"name": "a"}, {"name": "a"}]}, "namespaces[1].name: 'a' is there twice"),
        ({"resources": [{"kind": "X"}]}, "resources, document 1: an object of kind X lacks apiVersion, metadata.name (a string)"),
        ({"generated_secrets": [{"name": "s"}]}, "generated_secrets[0]: it has neither values nor generate"),
        ({"leftovers": [{"api_version": "v1", "kind": "X"}]}, "leftovers[0].names: is missing"),
        ({"route": []}, "route: there is no such key, did you mean routes?"),
    ],
)
def test_mistakes(change: dict[str, Any], problem: str) -> None:
    definition, problems = examine({**LEAST, **change})
    assert definition is None
    assert [text for text in problems if problem in text], problems
    with pytest.raises(InputError, match=r"docs/components/README\.md describes"):
        read({**LEAST, **change})


def test_a_number_may_be_text_as_extra_variables_are() -> None:
    assert read({**LEAST, "timeout": "40"}).timeout == 40


def test_pins() -> None:
    definition = read({**LEAST, "charts": [CHART, {"pin": "file", "version": "2.0.0"}]})
    digest = "sha256:" + "a" * 64
    known = {
        "probe": {"chart": "probe", "repository": "https://charts.example.org", "version": "1.0.0", "digest": digest},
        "file": {"url": "https://files.example.org/v{version}.yaml", "version": "1.0.0", "digest": digest},
    }
    found, problems = pins.resolve(definition, known, "")
    assert problems == []
    chart, file = (origin for _use, origin in found)
    assert chart == Chart("probe", "https://charts.example.org", "1.0.0", digest)
    # The digest is that of another version's file.
    assert file == ManifestFile("file", "https://files.example.org/v{version}.yaml", "2.0.0", "")
    assert isinstance(file, ManifestFile)
    assert file.address == "https://files.example.org/v2.0.0.yaml"
    found, problems = pins.resolve(definition, known, "https://mirror.example.org/charts/")
    assert [getattr(origin, "repository", None) or getattr(origin, "address", None) for _use, origin in found] == [
        "https://mirror.example.org/charts",
        "https://mirror.example.org/charts/file-2.0.0.yaml",
    ]
    # A registry has no files.
    found, problems = pins.resolve(definition, known, "oci://mirror.example.org/charts")
    assert getattr(found[1][1], "address", None) == "https://files.example.org/v2.0.0.yaml"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (None, "pin probe: there is none of that name, did you mean probes?"),
        ({"chart": "probe", "repository": "example.org"}, "pin probe: 'example.org' is not a chart repository"),
        ({"repository": "https://example.org"}, "pin probe: the chart has no name"),
        ({"url": "file:///etc/passwd"}, "pin probe: 'file:///etc/passwd' is not an http(s) URL"),
        ({"chart": "probe", "repository": "https://example.org", "version": "1.0.0", "digest": "abc"}, "pin probe: 'abc' is not a digest"),
    ],
)
def test_wrong_pins(entry: dict[str, Any] | None, problem: str) -> None:
    known = {"probes": {}} if entry is None else {"probe": entry}
    assert pins.resolve(read(LEAST), known, "")[1] == [problem]


def test_secrets_among_values_are_hidden_and_names_of_secrets_are_not() -> None:
    values = {
        "auth": {"password": "correct horse", "existingSecret": "grafana-admin", "passwordKey": "admin-password", "users": [{"apiKey": "0123456789"}]},
        "token": "short",
    }
    definition = {
        "charts": [{"values": values}],
        "generated_secrets": [{"values": {"admin-user": "administrator", "admin-password": "battery staple"}}],
        "routes": [{"password": "kubectl get secret"}],
        "resources": [
            {"kind": "Secret", "stringData": {"url": "https://git.example.org", "sshPrivateKey": "a private key"}},
            {"kind": "Secret", "data": {"client_secret": "bm90IGEgc2VjcmV0"}},
            {"kind": "ConfigMap", "data": {"password": "no secret here"}},
        ],
    }
    assert hidden_values(definition) == ["correct horse", "0123456789", "battery staple", "a private key", "bm90IGEgc2VjcmV0", "not a secret"]
    as_text = "kind: Secret\nstringData: {password: correct horse}\n---\nkind: ConfigMap\ndata: {password: no secret here}\n"
    assert hidden_values({"resources": as_text}) == ["correct horse"]
    assert hidden_values({"resources": "kind: Secret\na: ["}) == hidden_values("nonsense") == []


def test_contents_of_secrets_are_not_shown_whatever_their_keys_are() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "a"}, "data": {"file": "bm90IHNob3du"}, "stringData": {"config": "not shown"}}
    other = {"kind": "ConfigMap", "data": {"file": "shown"}}
    shown = shown_params({"path": "/a", "definition": {"name": "probe", "resources": [secret, other]}})
    assert shown == {
        "path": "/a",
        "definition": {"name": "probe", "resources": [{**secret, "data": "<hidden>", "stringData": "<hidden>"}, other]},
    }
    assert shown_params({"definition": {"resources": f"# text\n{secret}"}}) == {"definition": {"resources": "<hidden>"}}
    for plain in ({"definition": {"name": "probe"}}, {"definition": {"resources": "kind: ConfigMap"}}, {"definition": None}):
        assert shown_params(plain) == plain
