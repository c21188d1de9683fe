# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real kubeseal, and the real controller of Sealed Secrets as a process beside an API server."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from component_cluster import Cluster

# What the chart's definition says, as far as the controller needs it.
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "sealedsecrets.bitnami.com"},
    "spec": {
        "group": "bitnami.com",
        "scope": "Namespaced",
        "names": {"kind": "SealedSecret", "plural": "sealedsecrets", "singular": "sealedsecret", "listKind": "SealedSecretList"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {name: {"type": "object", "x-kubernetes-preserve-unknown-fields": True} for name in ("spec", "status")},
                    }
                },
            }
        ],
    },
}
# The controller reads its account from this place and no other, so it gets one of its own there.
_ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
_START = f'mount -t tmpfs none /run && mkdir -p {_ACCOUNT} && cp "$1"/token "$1"/ca.crt {_ACCOUNT} && shift && exec "$@"'


def programs() -> tuple[Path, Path]:
    """kubeseal and the controller, as the lab built them; the test is skipped without."""
    lab = Path(__file__).parents[1] / "lab" / "lab"
    answer = subprocess.run([str(lab), "bin"], capture_output=True, text=True, timeout=300, check=False)
    kubeseal = Path(answer.stdout.strip()) / "kubeseal"
    if answer.returncode != 0 or not kubeseal.exists():
        pytest.skip("no kubeseal: run `tests/lab/lab build`")
    return kubeseal, kubeseal.resolve().parent / "controller"


@contextlib.contextmanager
def controller(program: Path, cluster: Cluster, directory: Path, *arguments: str) -> Iterator[str]:
    """The controller, until the end of the block. Yields the URL of its certificate."""
    unshare = ["unshare", "--mount", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", "/run"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here, and the controller reads its account from a fixed place")
    directory.mkdir(exist_ok=True)
    server = _account(cluster, directory)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics = free.getsockname()[1]
    host, _colon, number = server.removeprefix("https://").rpartition(":")
    environment = {**os.environ, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": number, "POD_NAMESPACE": "kube-system"}
    argv = [*unshare, "sh", "-ec", _START, "sh", str(directory), str(program), "--key-renew-period=0", f"--listen-addr=127.0.0.1:{port}"]
    argv += [f"--listen-metrics-addr=127.0.0.1:{metrics}", *arguments]
    log = directory / "controller.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        url = f"http://127.0.0.1:{port}/v1/cert.pem"
        _await(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=300)


def fetched(url: str) -> str:
    """The certificate that the controller gives out."""
    with urllib.request.urlopen(url, timeout=300) as answer:  # noqa: S310  on loopback
        return str(answer.read().decode()).strip()


def _account(cluster: Cluster, directory: Path) -> str:
    """A token with all rights, and the authority's certificate. Returns the server's URL."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = config.get("certificate-authority-data")
    certificate = base64.b64decode(authority) if authority else Path(config["certificate-authority"]).read_bytes()
    (directory / "ca.crt").write_bytes(certificate)
    subject = {"kind": "ServiceAccount", "name": "unsealer", "namespace": "kube-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    cluster.apply("/api/v1/namespaces/kube-system/serviceaccounts/unsealer", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "unsealer"}})
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "unsealer"}}
    cluster.apply("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/unsealer", {**binding, "roleRef": role, "subjects": [subject]})
    answer = cluster.client.request("POST", "/api/v1/namespaces/kube-system/serviceaccounts/unsealer/token", {"spec": {"expirationSeconds": 3600}})
    (directory / "token").write_text(answer["status"]["token"])
    return str(config["server"])


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            fetched(url)
            return
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
