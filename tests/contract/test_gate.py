# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's checks against a real kube-apiserver. Nothing runs behind it: the tests write what controllers and kubelets would."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_server import Authority

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.gate.user_checks import LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import gate

pytestmark = pytest.mark.newest_only

MERGE = "application/merge-patch+json"
ADDRESSES = {"m1": "192.0.2.11", "m2": "192.0.2.12"}
IN_CLUSTER = ("network", "ceph", "databases", "webhooks", "budgets", "gitops")


@pytest.fixture(scope="module")
def nodes(kubeconfig: Path) -> None:
    client = kube_client.connect(str(kubeconfig), deadline=Deadline(300))
    for name, address in ADDRESSES.items():
        client.request("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        status = {"addresses": [{"type": "InternalIP", "address": address}], "conditions": [{"type": "Ready", "status": "True"}]}
        client.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, content_type=MERGE)
    client.close()


def look(kubeconfig: Path, *checks: str, lost: str = "", check: bool = False, **params: Any) -> Outcome:
    filled = {name: option.get("default") for name, option in gate.ARGUMENT_SPEC.items()}
    server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    filled |= {"checks": list(checks), "machines": [], "endpoints": [server], "kubeconfig": str(kubeconfig), "wait": False, "timeout": 300}
    return gate.run(Task({**filled, "planned_loss": ADDRESSES.get(lost, lost), **params}, check_mode=check, diff_mode=False, warn=print))


def problems(outcome: Outcome) -> list[str]:
    return [f"{finding['where']}: {finding['problem']}" for finding in outcome.values["findings"]]


def seen(outcome: Outcome) -> dict[str, str]:
    return {item["name"]: item["seen"] for item in outcome.values["checks"]}


def create(client: kube_client.Client, path: str, item: dict[str, Any], **status: Any) -> None:
    client.request("POST", path, item)
    if status:
        client.request("PATCH", f"{path}/{item['metadata']['name']}/status", {"status": status}, content_type=MERGE)


def define(client: kube_client.Client, group: str, version: str, plural: str, kind: str) -> None:
    """A custom resource of any form, and wait until it is served."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": group,
        "names": {"plural": plural, "kind": kind},
        "scope": "Namespaced",
        "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
    }
    client.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {"metadata": {"name": f"{plural}.{group}"}, "spec": spec})
    deadline = Deadline(300)
    while True:
        with contextlib.suppress(Exception):
            client.list(f"/apis/{group}/{version}/{plural}")
            return
        deadline.check(f"{kind} is not served")
        deadline.pause(0.1)


def pod(client: kube_client.Client, namespace: str, name: str, node: str, labels: dict[str, str], *, ready: bool = True) -> None:
    metadata = {
        "name": name,
        "labels": labels,
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "o", "uid": "0-0", "controller": True}],
    }
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "registry.example/main:1"}], "serviceAccountName": "default"}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    create(client, f"/api/v1/namespaces/{namespace}/pods", {"metadata": metadata, "spec": spec}, **status)


def account(client: kube_client.Client, namespace: str) -> None:
    client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})


def test_what_is_not_installed_has_nothing_wrong_with_it(kubeconfig: Path, nodes: None) -> None:
    outcome = look(kubeconfig, *IN_CLUSTER, "nodes", lost="m1")
    assert problems(outcome) == []
    assert outcome.values["passed"]
    assert seen(outcome) == {
        "network": "no network agent that is known here; no API is served by a service, so no ClusterIP was tried",
        "ceph": "not installed, or not running yet",
        "databases": "not installed",
        "webhooks": "none that is fail-closed",
        "budgets": "0 pods would leave m1",
        "gitops": "not installed",
        "nodes": "2 of 2 Ready",
    }


def test_a_machine_without_a_node_cannot_be_judged(kubeconfig: Path, nodes: None) -> None:
    assert problems(look(kubeconfig, "budgets", lost="192.0.2.99")) == [
        "cluster: it cannot be read: no node has the address 192.0.2.99, so that nothing can be said of its loss"
    ]


def test_webhooks(kubeconfig: Path, nodes: None, client: kube_client.Client, namespace: str) -> None:
    def webhook(name: str, policy: str) -> dict[str, Any]:
        return {
            "name": name,
            "failurePolicy": policy,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"namespace": namespace, "name": "policies"}},
            "rules": [{"apiGroups": ["example.org"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["things"]}],
        }

    group = "/apis/admissionregistration.k8s.io/v1"
    create(client, f"{group}/mutatingwebhookconfigurations", {"metadata": {"name": "open"}, "webhooks": [webhook("a.example.org", "Ignore")]})
    assert seen(look(kubeconfig, "webhooks"))["webhooks"] == "none that is fail-closed"
    create(client, f"{group}/validatingwebhookconfigurations", {"metadata": {"name": "closed"}, "webhooks": [webhook("b.example.org", "Fail")]})
    try:
        effect = "so that changes of things are refused"
        assert problems(look(kubeconfig, "webhooks")) == [f"closed: no pod is ready behind {namespace}/policies, {effect}"]
        metadata = {"name": "policies-x", "labels": {"kubernetes.io/service-name": "policies"}}
        endpoints = [
            {"addresses": ["10.244.0.5"], "nodeName": "m1", "conditions": {"ready": True}},
            {"addresses": ["10.244.1.5"], "nodeName": "m2", "conditions": {"ready": False}},
        ]
        slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        create(client, slices, {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints})
        assert problems(look(kubeconfig, "webhooks", lost="m2")) == []
        going = f"closed: all ready pods behind {namespace}/policies are on m1, which is about to go, {effect}"
        assert problems(look(kubeconfig, "webhooks", lost="m1")) == [going]
        allowed = look(kubeconfig, "webhooks", lost="m1", allowed=["webhooks/clos*"])
        assert allowed.values["passed"]
        assert [finding["where"] for finding in allowed.values["warned"]] == ["closed"]
    finally:
        client.request("DELETE", f"{group}/validatingwebhookconfigurations/closed")


def test_budgets(kubeconfig: Path, nodes: None, client: kube_client.Client, namespace: str) -> None:
    account(client, namespace)
    pod(client, namespace, "web-0", "m1", {"app": "web"})
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    create(
        client,
        budgets,
        {"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}},
        observedGeneration=1,
        disruptionsAllowed=0,
        currentHealthy=1,
        desiredHealthy=1,
        expectedPods=1,
    )
    try:
        assert problems(look(kubeconfig, "budgets", lost="m2")) == []
        (problem,) = problems(look(kubeconfig, "budgets", lost="m1"))
        assert problem.startswith(f"{namespace}/web: it never lets {namespace}/web-0 leave m1: minAvailable: 1")
    finally:
        client.request("DELETE", f"{budgets}/web")
        client.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/web-0", {"gracePeriodSeconds": 0})


def test_agents_of_the_network(kubeconfig: Path, nodes: None, client: kube_client.Client, namespace: str) -> None:
    account(client, namespace)
    pod(client, namespace, "cilium-1", "m1", {"k8s-app": "cilium"})
    pod(client, namespace, "cilium-2", "m2", {"k8s-app": "cilium"}, ready=False)
    outcome = look(kubeconfig, "network")
    assert problems(outcome) == ["m2: no agent of Cilium is ready there"]
    assert seen(outcome)["network"].startswith("Cilium ready on 1 of 2 nodes")


def test_an_api_server_that_is_down(kubeconfig: Path, nodes: None) -> None:
    server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    found = [problem for problem in problems(look(kubeconfig, "network", endpoints=[server, "127.0.0.1:9"])) if "API server" in problem]
    assert len(found) == 1
    assert found[0].startswith("127.0.0.1:9: its API server is not ready: no answer to GET /readyz")


class Things(BaseHTTPRequestHandler):
    """A server of an API of its own."""

    def do_GET(self) -> None:
        body = json.dumps({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "things.example.org/v1", "resources": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def things(directory: Path) -> Iterator[int]:
    directory.mkdir()
    certificate, key = Authority(directory).issue("things", names=["localhost"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Things)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_an_api_server_that_does_not_reach_a_service(kubeconfig: Path, nodes: None, client: kube_client.Client, namespace: str, tmp_path: Path) -> None:
    """The service is a name of this computer, since there is no network of a cluster; the API server resolves it where it would take the ClusterIP."""
    apis = "/apis/apiregistration.k8s.io/v1/apiservices"
    name = "v1.things.example.org"
    with things(tmp_path / "tls") as port:
        spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
        create(client, f"/api/v1/namespaces/{namespace}/services", {"metadata": {"name": "things"}, "spec": spec})
        service = {"namespace": namespace, "name": "things", "port": port}
        registration = {"group": "things.example.org", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10, "insecureSkipTLSVerify": True}
        create(client, apis, {"metadata": {"name": name}, "spec": {**registration, "service": service}})
        try:
            await_available(client, f"{apis}/{name}")
            await_seen(kubeconfig, "network", f"ClusterIPs reached by 1 of 1 API servers ({namespace}/things)")
            # It was available a moment ago, so the API server is asked all the same.
            client.request("PATCH", f"/api/v1/namespaces/{namespace}/services/things", {"spec": {"externalName": "nowhere.invalid"}}, content_type=MERGE)
            deadline = Deadline(300)
            while not (found := [problem for problem in problems(look(kubeconfig, "network")) if "things" in problem]):
                deadline.check("the gate does not see it")
                deadline.pause(0.2)
            assert "its API server does not reach" in found[0] or "this API is not available" in found[0]
        finally:
            client.request("DELETE", f"{apis}/{name}")


def await_available(client: kube_client.Client, path: str) -> None:
    deadline = Deadline(300)
    while not any(entry["type"] == "Available" and entry["status"] == "True" for entry in (client.get(path).get("status") or {}).get("conditions") or []):
        deadline.check("the API is not available")
        deadline.pause(0.2)


def await_seen(kubeconfig: Path, check: str, text: str) -> None:
    """What the gate sees is what is true at that moment: on a busy computer an API server is not ready at times."""
    deadline = Deadline(300)
    while text not in seen(outcome := look(kubeconfig, check))[check]:
        deadline.check(f"the gate does not see it, but: {seen(outcome)[check]}; {problems(outcome)}")
        deadline.pause(0.5)


def test_databases(kubeconfig: Path, nodes: None, client: kube_client.Client, namespace: str) -> None:
    account(client, namespace)
    define(client, "postgresql.cnpg.io", "v1", "clusters", "Cluster")
    define(client, "redis.redis.opstreelabs.in", "v1beta2", "redisreplications", "RedisReplication")
    pod(client, namespace, "orders-1", "m1", {"cnpg.io/cluster": "orders", "cnpg.io/podRole": "instance"})
    status = {"phase": "Cluster in healthy state", "readyInstances": 1, "currentPrimary": "orders-1", "targetPrimary": "orders-1"}
    clusters = f"/apis/postgresql.cnpg.io/v1/namespaces/{namespace}/clusters"
    create(
        client, clusters, {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "orders"}, "spec": {"instances": 1}, "status": status}
    )
    item = {"apiVersion": "redis.redis.opstreelabs.in/v1beta2", "kind": "RedisReplication", "metadata": {"name": "cache"}}
    create(client, f"/apis/redis.redis.opstreelabs.in/v1beta2/namespaces/{namespace}/redisreplications", item)
    missing = f"RedisReplication {namespace}/cache: its StatefulSet cache is not ready: it is not there"
    assert problems(look(kubeconfig, "databases")) == [missing]
    single = f"Cluster {namespace}/orders: its only instance is on m1, which is about to go"
    assert problems(look(kubeconfig, "databases", lost="m1")) == [single, missing]
    # Two instances: the primary has to say how far the other is, and nothing runs here that could.
    client.request("PATCH", f"{clusters}/orders", {"spec": {"instances": 2}}, content_type=MERGE)
    found = problems(look(kubeconfig, "databases"))
    assert found[0] == f"Cluster {namespace}/orders: 1 of 2 instances are ready"
    assert found[1].startswith(f"Cluster {namespace}/orders: the primary orders-1 does not say how far its replicas are: ")


def test_applications(kubeconfig: Path, client: kube_client.Client) -> None:
    define(client, "argoproj.io", "v1alpha1", "applications", "Application")
    client.request("POST", "/api/v1/namespaces", {"metadata": {"name": "argocd"}})
    assert seen(look(kubeconfig, "gitops"))["gitops"] == "Argo CD delivers nothing of the platform"
    status = {"sync": {"status": "Synced", "revision": "3f2a9c0e"}, "health": {"status": "Progressing"}}
    item = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "cilium"}, "spec": {"project": "platform"}, "status": status}
    create(client, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications", item)
    assert problems(look(kubeconfig, "gitops")) == ["Application cilium: it is Progressing"]


def test_certificates(kubeconfig: Path, client: kube_client.Client, namespace: str, tmp_path: Path) -> None:
    define(client, "cert-manager.io", "v1", "certificates", "Certificate")
    user = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]
    context = {"endpoints": [], "nodes": [], "ca": user["client-certificate-data"], "crt": user["client-certificate-data"]}
    talosconfig = tmp_path / "talosconfig"
    talosconfig.write_text(yaml.safe_dump({"context": "x", "contexts": {"x": context}}))
    outcome = look(kubeconfig, "certificates", talosconfig=str(talosconfig))
    # The test's certificates live a day, and have just been made.
    assert problems(outcome) == []
    assert outcome.values["warned"] == []
    assert seen(outcome)["certificates"].startswith("3 read, the first to expire in 24 hours: ")
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    times = {"notBefore": f"{end - dt.timedelta(days=90):%Y-%m-%dT%H:%M:%SZ}", "notAfter": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    status = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}], **times}
    item = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "web"}, "spec": {}, "status": status}
    create(client, f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates", item)
    assert problems(look(kubeconfig, "certificates", talosconfig=str(talosconfig))) == [f"Certificate {namespace}/web: the certificate expires in 2 days"]
    client.request("DELETE", f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates/web")


def test_without_a_talosconfig_certificates_cannot_be_read(kubeconfig: Path) -> None:
    (problem,) = problems(look(kubeconfig, "certificates"))
    assert "it cannot be read" in problem


class Controller:
    """What a Job's controller and a kubelet would do: the next Job that comes has this end."""

    def __init__(self, client: kube_client.Client, namespace: str, condition: str, message: str = "") -> None:
        self.made: list[dict[str, Any]] = []
        self._client, self._path = client, f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._condition, self._message = condition, message
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Controller:
        self._version = self._client.list(self._path)[1]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        with self._client.open_watch(self._path, self._version, Deadline(300)) as events:
            for kind, item in events:
                if kind != "ADDED":
                    continue
                self.made.append(item)
                now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
                before = "FailureTarget" if self._condition == "Failed" else "SuccessCriteriaMet"
                conditions = [
                    {
                        "type": kind,
                        "status": "True",
                        "reason": "BackoffLimitExceeded",
                        "message": self._message,
                        "lastTransitionTime": now,
                        "lastProbeTime": now,
                    }
                    for kind in (before, self._condition)
                ]
                status: dict[str, Any] = {"startTime": now, "conditions": conditions}
                if self._condition == "Complete":
                    status |= {"completionTime": now, "succeeded": 1}
                self._client.request("PATCH", f"{self._path}/{item['metadata']['name']}/status", {"status": status}, content_type=MERGE)
                return


JOB = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/main:1"}]}}}}


def test_a_job_that_succeeds(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    with Controller(client, namespace, "Complete") as controller:
        outcome = look(kubeconfig, jobs=[{"name": "smoke", "namespace": namespace, "manifest": JOB, "timeout": 15}])
    assert problems(outcome) == []
    (made,) = controller.made
    assert made["metadata"]["name"].startswith("gate-smoke-")
    assert made["metadata"]["labels"][LABEL] == "true"
    assert seen(outcome) == {"job smoke": f"Job {namespace}/{made['metadata']['name']} succeeded"}
    assert left(client, namespace) == []


def test_a_job_that_fails(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    with Controller(client, namespace, "Failed", "Job has reached the specified backoff limit") as controller:
        outcome = look(kubeconfig, jobs=[{"name": "smoke", "namespace": namespace, "manifest": JOB, "timeout": 15}])
    (made,) = controller.made
    assert problems(outcome) == [f"{namespace}/{made['metadata']['name']}: BackoffLimitExceeded: Job has reached the specified backoff limit"]
    assert left(client, namespace) == []


def test_a_job_that_does_not_end(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    outcome = look(kubeconfig, jobs=[{"name": "smoke", "namespace": namespace, "manifest": JOB, "timeout": 1}])
    assert [problem.partition(": ")[2] for problem in problems(outcome)] == ["it did not end within 1 s"]
    assert left(client, namespace) == []


def test_a_job_that_cannot_be_made(kubeconfig: Path) -> None:
    (problem,) = problems(look(kubeconfig, jobs=[{"name": "smoke", "namespace": "none-of-that-name", "manifest": JOB, "timeout": 5}]))
    assert 'namespaces "none-of-that-name" not found' in problem


def left(client: kube_client.Client, namespace: str) -> list[str]:
    """Jobs that are not on their way out."""
    items, _version = client.list(f"/apis/batch/v1/namespaces/{namespace}/jobs")
    return [item["metadata"]["name"] for item in items if not item["metadata"].get("deletionTimestamp")]


def test_in_check_mode_no_job_is_made(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    outcome = look(kubeconfig, "nodes", check=True, jobs=[{"name": "smoke", "namespace": namespace, "manifest": JOB, "timeout": 15}])
    assert seen(outcome)["job smoke"] == "is not run in check mode"
    assert client.list(f"/apis/batch/v1/namespaces/{namespace}/jobs")[0] == []


def test_a_gate_that_stays_closed_fails_with_everything(kubeconfig: Path, nodes: None) -> None:
    with pytest.raises(DeadlineExceeded, match=r"nodes: m9: the node has not registered") as caught:
        look(kubeconfig, "nodes", "ceph", nodes=["m1", "m9"], wait=True, timeout=1)
    assert [item["result"] for item in caught.value.details["checks"]] == ["failed", "passed"]
    assert caught.value.details["passed"] is False
