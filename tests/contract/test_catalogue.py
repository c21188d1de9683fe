# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every component's values and objects against the real charts' values and schemas, and the real API server with the real CRDs.

One component alone, in a few seconds:   .venv/bin/python -m pytest tests/contract/test_catalogue.py -k cert_manager
One of the variants of catalogue.VARIANTS:   ... -k "cert_manager and full"
The real charts' data is in ../shared/upstream, or where TRINODE_UPSTREAM says; without it those tests are skipped.
A role is tested as soon as its vars/main.yml has `<name>_component`; only the selected roles are evaluated.
A key that the chart reads, but its values.yaml does not show: catalogue.KNOWN_KEYS. Settings that change a role's objects: catalogue.VARIANTS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.component import definition
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources, discover
from ansible_collections.trinode.platform.tests.contract import api_server, catalogue

pytestmark = pytest.mark.slow

CASES = [(variant, name) for variant in catalogue.VARIANTS for name in catalogue.roles() if name not in catalogue.VARIANTS[variant].without]
every_component = pytest.mark.parametrize(("variant", "name"), CASES)


class Evaluations:
    """What each variant comes out as; evaluated when first asked for, and for the selected roles alone."""

    def __init__(self, names: list[str], directories: pytest.TempPathFactory) -> None:
        self._names = names
        self._directories = directories
        self._done: dict[str, dict[str, catalogue.Evaluated]] = {}

    def component(self, variant: str, name: str) -> dict[str, Any]:
        evaluated = self.all(variant)[name]
        assert evaluated.component is not None, evaluated.error
        return evaluated.component

    def all(self, variant: str) -> dict[str, catalogue.Evaluated]:
        if variant not in self._done:
            self._done[variant] = catalogue.evaluate(self._directories.mktemp(variant), catalogue.VARIANTS[variant], self._names)
        return self._done[variant]


@pytest.fixture(scope="module")
def evaluations(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evaluations:
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.module is request.module]
    # A test without a name is about all of them.
    selected = {item.callspec.params.get("name") for item in items}
    return Evaluations([name for name in catalogue.roles() if None in selected or name in selected], tmp_path_factory)


class Server:
    """An API server that is given the real CRDs of the kinds that it is asked about."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = kube_client.connect(str(kubeconfig), deadline=Deadline(600))
        self._definitions = _definitions()
        self._resources: Resources = discover(self._client)

    def namespace(self, name: str, labels: dict[str, str]) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        params = {"fieldManager": "test", "force": "true"}
        self._client.request("PATCH", f"/api/v1/namespaces/{name}", body, content_type="application/apply-patch+yaml", params=params)

    def rejection(self, item: dict[str, Any], namespace: str) -> str:
        """Why the server would not take this object; "" when it would."""
        kind = (item["apiVersion"], item["kind"])
        if kind not in self._resources and not self._serve(*kind):
            return f"no CRD of {' '.join(kind)} in {catalogue.UPSTREAM}/crds"
        resource = self._resources.get(kind)
        if resource is None:
            return f"the CRD of {kind[1]} does not have {kind[0]}"
        params = {"dryRun": "All", "fieldManager": "test", "force": "true", "fieldValidation": "Strict"}
        path = resource.path(item["metadata"].get("namespace") or namespace, item["metadata"]["name"])
        try:
            self._client.request("PATCH", path, item, content_type="application/apply-patch+yaml", params=params)
        except PlatformError as error:
            return str(error)
        return ""

    def _serve(self, api_version: str, kind: str) -> bool:
        """Apply the CRD of a kind and wait until it is served; False where there is none."""
        path = self._definitions.get((api_version.partition("/")[0], kind))
        if path is None:
            return False
        collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        [crd] = manifests.parse(path.read_text(), source=path.name)
        _items, version = self._client.list(collection)
        name = crd["metadata"]["name"]
        crd.pop("status", None)
        self._client.request("POST", collection, crd)
        with self._client.open_watch(collection, version, Deadline(300), {"fieldSelector": f"metadata.name={name}"}) as events:
            for _event, item in events:
                conditions = {entry["type"]: entry["status"] for entry in item.get("status", {}).get("conditions") or []}
                if conditions.get("Established") == "True":
                    break
        deadline = Deadline(300)
        while (api_version, kind) not in self._resources and deadline.remaining > 0 and _serves(crd, api_version):
            self._resources = discover(self._client)  # discovery follows Established after a moment, and cannot be watched
        return True


def _serves(crd: dict[str, Any], api_version: str) -> bool:
    return any(version["name"] == api_version.partition("/")[2] and version["served"] for version in crd["spec"]["versions"])


def _definitions() -> dict[tuple[str, str], Path]:
    """Files of CRDs by group and kind. Read as text: parsing all takes far longer than those that are needed."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(catalogue.UPSTREAM.glob("crds/*/*.yaml")):
        text = path.read_text()
        group = re.search(r"^  group: (\S+)$", text, re.MULTILINE)
        kind = re.search(r"^    kind: (\S+)$", text, re.MULTILINE)
        if group and kind and path.parent.name != "gateway-api-experimental":
            found[(group[1], kind[1])] = path
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    hyper = api_server.find_hyper()
    if hyper is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    if not (catalogue.UPSTREAM / "crds").exists():
        pytest.skip(f"the real charts' CRDs are not here: {catalogue.UPSTREAM}")
    with api_server.running(hyper, tmp_path_factory.mktemp("api")) as kubeconfig:
        yield Server(kubeconfig)


@every_component
def test_it_evaluates_to_a_definition(evaluations: Evaluations, variant: str, name: str) -> None:
    read = definition.read(evaluations.component(variant, name))
    assert read.name == name
    assert [other for other in (*read.needs, *read.uses) if other not in catalogue.COMPONENTS] == []
    pins = yaml.safe_load((catalogue.ROOT / "roles" / "trinode" / "vars" / "main" / "pins.yml").read_text())["trinode_pins"]
    assert [chart.pin for chart in read.charts if chart.pin not in pins] == []
    for namespace in read.namespaces:
        metadata = namespace["metadata"]
        assert metadata["name"] != "kube-system"
        level = (metadata.get("labels") or {}).get("pod-security.kubernetes.io/enforce")
        assert level in {"privileged", "baseline", "restricted"}, f"namespace {metadata['name']}: it has to say what its pods may do"


@every_component
def test_every_key_exists_in_the_real_values(evaluations: Evaluations, variant: str, name: str) -> None:
    problems = [
        f"{chart['pin']}: {problem}"
        for chart, real in charts(evaluations.component(variant, name))
        for problem in catalogue.unknown_keys(chart.get("values", {}), real, catalogue.KNOWN_KEYS.get(chart["pin"], {}))
    ]
    assert not problems, "\n".join(problems)


@every_component
def test_values_fit_the_real_schema(evaluations: Evaluations, variant: str, name: str) -> None:
    problems = []
    for chart, real in charts(evaluations.component(variant, name)):
        if real.schema is not None:
            validator = jsonschema.validators.validator_for(real.schema)(real.schema)
            errors = validator.iter_errors(catalogue.merged(real.values, chart.get("values", {})))
            problems += [f"{chart['pin']}: {'.'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}" for error in errors]
    assert not problems, "\n".join(problems)


def charts(component: dict[str, Any]) -> list[tuple[dict[str, Any], catalogue.Chart]]:
    """The component's charts with data of the real ones; the test is skipped where there are none."""
    found = [(chart, real) for chart in component["charts"] if (real := catalogue.chart(chart["pin"]))]
    missing = [chart["pin"] for chart in component["charts"] if not catalogue.chart(chart["pin"])]
    if not found:
        pytest.skip(f"no values of the real chart {', '.join(missing)} in {catalogue.UPSTREAM}" if missing else "the component has no chart")
    return found


@every_component
def test_the_api_server_accepts_its_objects(evaluations: Evaluations, server: Server, variant: str, name: str) -> None:
    component = evaluations.component(variant, name)
    given, source = component.get("resources") or "", f"roles/{name}/templates/resources.yml.j2"
    items = manifests.parse(given, source=source) if isinstance(given, str) else manifests.normalise(given, source=source)
    items = [item for item in items if item["apiVersion"].partition("/")[0] not in catalogue.PACKAGED_GROUPS]
    if not items:
        pytest.skip("it has no objects of its own")
    for other in evaluations.all(variant).values():
        for namespace in (other.component or {}).get("namespaces", []):
            server.namespace(namespace["name"], namespace.get("labels", {}))
    answers = {str(manifests.key_of(item)): server.rejection(item, component["namespace"]) for item in items}
    problems = [f"{key}: {answer}" for key, answer in answers.items() if answer]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_components_agree_about_the_namespaces_that_they_share(evaluations: Evaluations, variant: str) -> None:
    labels: dict[str, dict[str, Any]] = {}
    for name, evaluated in evaluations.all(variant).items():
        for namespace in (evaluated.component or {}).get("namespaces", []):
            labels.setdefault(namespace["name"], {})[name] = namespace.get("labels", {})
    assert {name: by for name, by in labels.items() if any(item != next(iter(by.values())) for item in by.values())} == {}
