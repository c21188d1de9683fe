# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_apply where something is not there yet: a kind, or the service behind a webhook. Real kube-apiserver, and a real webhook on loopback."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import api_server
import pytest
import yaml
from kube_objects import WIDGETS, actions, apply, config_map, deployment

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply as engine
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube import served, wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request

pytestmark = pytest.mark.newest_only

MERGE = "application/merge-patch+json"


class Webhook:
    """Guards ConfigMaps that carry a label. Nobody answers until ``up``; then everything is allowed but what is named "denied"."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._authority = api_server.Authority(directory)
        self._certificate, self._key = self._authority.issue("webhook", addresses=["127.0.0.1"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    def configuration(self, name: str, label: str) -> dict[str, Any]:
        hook = {
            "name": f"{name}.example.org",
            "clientConfig": {
                "url": f"https://127.0.0.1:{self._port}/",
                "caBundle": base64.b64encode(self._authority.certificate.read_bytes()).decode(),
            },
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
            "objectSelector": {"matchLabels": {"guarded": label}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "timeoutSeconds": 2,
        }
        kind = "ValidatingWebhookConfiguration"
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": [hook]}

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self._certificate, self._key)
        server = ThreadingHTTPServer(("127.0.0.1", self._port), _Review)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Review(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        allowed = review["request"]["name"] != "denied"
        answer = {"uid": review["request"]["uid"], "allowed": allowed, "status": {"message": "not this one"}}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silent."""


def guarded(name: str, label: str) -> dict[str, Any]:
    return {**config_map(name, key="value"), "metadata": {"name": name, "labels": {"guarded": label}}}


@pytest.fixture
def webhook(kubeconfig: Path, client: kube_client.Client, namespace: str, tmp_path: Path) -> Iterator[Webhook]:
    """A webhook that is registered and known to the API server, behind which nobody answers."""
    hook = Webhook(tmp_path / "webhook")
    apply(kubeconfig, objects=[hook.configuration(namespace, namespace)])
    probe = {"metadata": {"name": "probe", "labels": {"guarded": namespace}}}
    deadline, refusal = Deadline(300), ""
    while "failed calling webhook" not in refusal:
        deadline.check("the API server did not learn of the webhook")
        deadline.pause(0.05)  # it does when it does; there is nothing to watch
        try:
            client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", probe, params={"dryRun": "All"})
        except PlatformError as error:
            refusal = str(error)
    yield hook
    client.request("DELETE", f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{namespace}")


def test_what_a_webhook_holds_up_is_applied_when_it_answers(kubeconfig: Path, client: kube_client.Client, namespace: str, webhook: Webhook) -> None:
    """It comes up only after everything else is there, as an operator's own webhook does."""
    held_up = threading.Event()

    def service() -> None:
        while True:
            with contextlib.suppress(PlatformError):
                client.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/operator")
                break
            time.sleep(0.05)
        done = {"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/operator/status"
        with webhook.up():
            client.request("PATCH", path, done, content_type=MERGE)
            assert held_up.wait(40)

    thread = threading.Thread(target=service)
    thread.start()
    outcome = apply(kubeconfig, objects=[guarded("guarded", namespace), deployment("operator"), config_map("free")], namespace=namespace, timeout=300)
    held_up.set()
    thread.join()
    assert actions(outcome) == {"guarded": "created", "operator": "created", "free": "created"}


def test_a_refusal_of_what_was_put_off_is_final(kubeconfig: Path, namespace: str, webhook: Webhook) -> None:
    with contextlib.ExitStack() as stack:
        timer = threading.Timer(1.0, lambda: stack.enter_context(webhook.up()))
        timer.start()
        with pytest.raises(PlatformError, match=r"ConfigMap .*/denied: .*denied the request: not this one") as caught:
            apply(kubeconfig, objects=[guarded("denied", namespace), config_map("free")], namespace=namespace, timeout=300)
        timer.join()
    assert not isinstance(caught.value, DeadlineExceeded)


def test_an_image_that_cannot_be_pulled_is_told_although_a_webhook_is_silent(
    kubeconfig: Path, client: kube_client.Client, namespace: str, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait.until_ready, "__kwdefaults__", {"grace": 1.0})
    client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {
        "metadata": {"name": "operator-1", "labels": {"app": "operator"}},
        "spec": {"automountServiceAccountToken": False, "containers": [{"name": "main", "image": "registry.example/main:1"}]},
    }
    client.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}
    container = {"name": "main", "image": "registry.example/main:1", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    client.request("PATCH", f"/api/v1/namespaces/{namespace}/pods/operator-1/status", {"status": {"containerStatuses": [container]}}, content_type=MERGE)
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"ImagePullBackOff.*; not applied yet: ConfigMap .*/guarded: .*failed calling webhook"):
        apply(kubeconfig, objects=[guarded("guarded", namespace), deployment("operator")], namespace=namespace, timeout=300)
    assert time.monotonic() - started < 30


def test_a_webhook_that_never_answers_is_named_at_the_deadline(kubeconfig: Path, client: kube_client.Client, namespace: str, webhook: Webhook) -> None:
    with pytest.raises(DeadlineExceeded, match=rf"ConfigMap .*/guarded: .*failed calling webhook \"{namespace}.example.org\".* \(tried until the time of 3 s"):
        apply(kubeconfig, objects=[guarded("guarded", namespace), config_map("free")], namespace=namespace, timeout=3)
    assert client.get(f"/api/v1/namespaces/{namespace}/configmaps/free")


def test_check_mode_predicts_what_a_silent_webhook_guards(kubeconfig: Path, namespace: str, webhook: Webhook) -> None:
    outcome = apply(kubeconfig, check=True, objects=[guarded("guarded", namespace), config_map("free")], namespace=namespace, timeout=300)
    assert actions(outcome) == {"guarded": "created", "free": "created"}


def renamed(word: str) -> dict[str, Any]:
    definition: dict[str, Any] = yaml.safe_load(yaml.safe_dump(WIDGETS).replace("widget", word).replace("Widget", word.capitalize()))
    return definition


def test_a_kind_that_an_operator_makes_is_awaited(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    item = {"apiVersion": "example.org/v1", "kind": "Cog", "metadata": {"name": "first"}, "spec": {"size": 3}}

    def operator() -> None:
        while True:
            with contextlib.suppress(PlatformError):
                client.get(f"/api/v1/namespaces/{namespace}/configmaps/settings")
                break
            time.sleep(0.05)
        client.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", renamed("cog"))

    predicted = apply(kubeconfig, check=True, objects=[item, config_map("settings")], namespace=namespace, await_kinds=True)
    assert set(actions(predicted).values()) == {"created"}
    thread = threading.Thread(target=operator)
    thread.start()
    outcome = apply(kubeconfig, objects=[item, config_map("settings")], namespace=namespace, await_kinds=True, timeout=300)
    thread.join()
    assert actions(outcome) == {"first": "created", "settings": "created"}
    assert client.get(f"/apis/example.org/v1/namespaces/{namespace}/cogs/first")["spec"] == {"size": 3}


def test_a_kind_that_never_comes_is_named_at_the_deadline(kubeconfig: Path, namespace: str) -> None:
    item = {"apiVersion": "ghost.example.org/v1", "kind": "Ghost", "metadata": {"name": "boo"}}
    with pytest.raises(DeadlineExceeded, match=r"Ghost boo: .*Ghost of ghost.example.org/v1 is not served"):
        apply(kubeconfig, objects=[item, config_map("settings")], namespace=namespace, await_kinds=True, timeout=2)


def test_nothing_waits_for_a_definition_that_it_does_not_need(client: kube_client.Client, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's list lacks the new kind until the ConfigMap is there: whoever waited for the list would wait for ever."""
    original = served.group_version

    def group_version(*asked: Any) -> Any:
        resources = original(*asked)
        try:
            client.get(f"/api/v1/namespaces/{namespace}/configmaps/free")
        except PlatformError:
            return {kind: resource for kind, resource in resources.items() if kind != "Pinion"}
        return resources

    monkeypatch.setattr(served, "group_version", group_version)
    item = {"apiVersion": "example.org/v1", "kind": "Pinion", "metadata": {"name": "first"}, "spec": {"size": 3}}
    results = engine.apply(client, [renamed("pinion"), item, config_map("free")], Request(namespace=namespace, wait=False), Deadline(300))
    assert [result.action for result in results] == ["created"] * 3


def test_a_definition_whose_names_are_taken_fails_with_what_needs_it(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    apply(kubeconfig, objects=[renamed("lever")])
    other = renamed("lever")
    other["metadata"]["name"] = "levers2.example.org"
    other["spec"]["names"] = {"kind": "Lever", "plural": "levers2", "singular": "lever", "listKind": "LeverList"}
    other["spec"]["versions"][0]["name"] = "v9"
    item = {"apiVersion": "example.org/v9", "kind": "Lever", "metadata": {"name": "first"}}
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"Lever \(example.org/v9\) is not served: its names are not accepted.*Lever .*/first: the kind Lever"):
        apply(kubeconfig, objects=[other, item, config_map("free")], namespace=namespace, timeout=300)
    assert time.monotonic() - started < 30
    assert client.get(f"/api/v1/namespaces/{namespace}/configmaps/free")


def test_a_new_field_of_a_definition_may_be_used_in_the_same_call(kubeconfig: Path, namespace: str) -> None:
    definition = renamed("crank")
    item: dict[str, Any] = {"apiVersion": "example.org/v1", "kind": "Crank", "metadata": {"name": "first"}, "spec": {"size": 3}}
    apply(kubeconfig, objects=[definition, item], namespace=namespace)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    schema["colour"] = {"type": "string"}
    item["spec"]["colour"] = "red"
    assert set(actions(apply(kubeconfig, objects=[definition, item], namespace=namespace)).values()) == {"changed"}


def test_nulls_are_left_out(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    main = deployment("main")
    main["spec"]["strategy"] = None
    main["spec"]["template"]["spec"]["nodeSelector"] = None
    main["metadata"]["annotations"] = None
    assert actions(apply(kubeconfig, objects=[main], namespace=namespace, wait=False)) == {"main": "created"}
    assert "nodeSelector" not in client.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/main")["spec"]["template"]["spec"]
    assert not apply(kubeconfig, objects=[main], namespace=namespace, wait=False).changed
