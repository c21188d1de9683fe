# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""helm_template with the real helm, on the lab's chart doubles."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import key_of, parse
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import helm_template

ROOT = Path(__file__).parents[2]


def find_helm() -> str | None:
    if named := os.environ.get("TRINODE_HELM"):
        return named
    answer = subprocess.run([str(ROOT / "tests" / "lab" / "lab"), "bin"], capture_output=True, text=True, timeout=300, check=False)
    built = Path(answer.stdout.strip()) / "helm"
    return str(built) if answer.returncode == 0 and built.exists() else shutil.which("helm")


@pytest.fixture(scope="module")
def helm() -> str:
    found = find_helm()
    if found is None:
        pytest.skip("no helm: run `tests/lab/lab build`, or set TRINODE_HELM")
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("charts")
    subprocess.run([sys.executable, str(ROOT / "tests" / "lab" / "charts" / "build.py"), "--out", str(directory)], check=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def values() -> dict[str, Any]:
    """As on Talos."""
    return {
        "kubeProxyReplacement": True,
        "k8sServiceHost": "localhost",
        "k8sServicePort": 7445,
        "securityContext": {"capabilities": {"ciliumAgent": ["CHOWN", "NET_ADMIN"], "cleanCiliumState": ["NET_ADMIN"]}},
        "socketLB": {"hostNamespaceOnly": True},
        "operator": {"replicas": 2},
        "hubble": {"enabled": True, "relay": {"enabled": True}, "ui": {"enabled": True}, "tls": {"auto": {"method": "cronJob"}}},
    }


def template(helm: str, cache: Path, repository: str, **params: Any) -> Outcome:
    defaults = {name: option.get("default") for name, option in helm_template.ARGUMENT_SPEC.items()}
    fixed = {"name": "cilium", "chart": "cilium", "version": "1.20.0", "namespace": "kube-system", "kubernetes_version": "v1.36.3"}
    options = {**defaults, **fixed, "repository": repository, "cache": str(cache), "helm": helm, **params}
    return helm_template.run(Task(options, check_mode=False, diff_mode=False, warn=lambda _text: None))


def test_renders_the_cilium_double(helm: str, repository: str, tmp_path: Path, values: dict[str, Any]) -> None:
    outcome = template(helm, tmp_path, repository, values=values)
    assert not outcome.changed
    objects = {(key.kind, key.name): item for item in parse(outcome.values["manifests"]) for key in [key_of(item)]}
    assert len(objects) == outcome.values["count"]
    assert {("DaemonSet", "cilium"), ("DaemonSet", "cilium-envoy"), ("Deployment", "hubble-relay"), ("Deployment", "hubble-ui")} <= set(objects)
    assert objects[("Deployment", "cilium-operator")]["spec"]["replicas"] == 2
    [agent] = objects[("DaemonSet", "cilium")]["spec"]["template"]["spec"]["containers"]
    assert "SYS_MODULE" not in agent["securityContext"]["capabilities"]["add"]
    assert {"name": "KUBERNETES_SERVICE_PORT", "value": "7445"} in agent["env"]
    assert objects[("ConfigMap", "cilium-config")]["data"]["bpf-lb-sock-hostns-only"] == "true"
    assert template(helm, tmp_path, repository, values=values).values == outcome.values


def test_the_cache_serves_without_the_repository(helm: str, repository: str, tmp_path: Path, values: dict[str, Any]) -> None:
    mirrored = template(helm, tmp_path, "https://charts.invalid", mirror=repository, values=values)
    [directory] = tmp_path.iterdir()
    assert [path.name for path in directory.iterdir()] == ["cilium-1.20.0.tgz"]
    # Without the mirror it is another repository, which has no file in the cache and cannot be reached.
    with pytest.raises(ConnectionFailed, match="the repository cannot be reached"):
        template(helm, tmp_path, "http://127.0.0.1:1", values=values)
    assert template(helm, tmp_path, "https://charts.invalid", mirror=repository, values=values).values == mirrored.values


def test_a_version_that_is_not_there(helm: str, repository: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chart cilium 9\.9\.9 from http.*: there is no such chart or version"):
        template(helm, tmp_path, repository, version="9.9.9")


def test_another_digest_is_refused(helm: str, repository: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="its digest is sha256:"):
        template(helm, tmp_path, repository, digest="sha256:" + "0" * 64)


def test_values_that_break_the_schema(helm: str, repository: str, tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"the values break the chart's schema: operator\.replicas: got string, want integer"):
        template(helm, tmp_path, repository, values={**values, "operator": {"replicas": "2"}})


def test_values_that_the_templates_refuse(helm: str, repository: str, tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the chart refuses the values: kubeProxyReplacement must be explicitly set"):
        template(helm, tmp_path, repository, values={**values, "kubeProxyReplacement": "strict"})


def test_a_kubernetes_that_is_too_old(helm: str, repository: str, tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"the chart wants Kubernetes >= 1\.21\.0-0, and the cluster has v1\.20\.0"):
        template(helm, tmp_path, repository, values=values, kubernetes_version="v1.20.0")
