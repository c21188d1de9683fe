# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor: the same requests in a bare loop on keep-alive connections. Bodies are made beforehand; answers are read and thrown away."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3
import yaml
from urllib3.util.ssl_ import create_urllib3_context

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Floor:
    """Spreads over the servers like everybody who is told of them."""

    def __init__(self, kubeconfig: Path, servers: Sequence[str], connections: int) -> None:
        self._servers = list(servers)
        self._connections = connections
        self._pool = urllib3.PoolManager(maxsize=connections, ssl_context=_tls(kubeconfig))
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def apply(self, first: Sequence[dict[str, Any]], rest: Sequence[dict[str, Any]]) -> float:
        """Seconds for all: ``first`` (namespaces and definitions), until the definitions are established, ``rest``."""
        bodies = {id(item): json.dumps(item, separators=(",", ":")).encode() for item in (*first, *rest)}
        started = time.monotonic()
        with ThreadPoolExecutor(max_workers=self._connections) as pool:
            self._send(pool, first, bodies)
            for item in first:
                if item["kind"] == "CustomResourceDefinition":
                    self._await_established(item["metadata"]["name"])
            self._send(pool, rest, bodies)
        return time.monotonic() - started

    def _send(self, pool: ThreadPoolExecutor, objects: Sequence[dict[str, Any]], bodies: dict[int, bytes]) -> None:
        paths = [self._path(item) for item in objects]

        def send(number: int) -> None:
            url = f"{self._servers[number % len(self._servers)]}{paths[number]}?fieldManager=floor&force=true"
            for _try in range(100):
                answer = self._pool.request("PATCH", url, body=bodies[id(objects[number])], headers={"Content-Type": "application/apply-patch+yaml"})
                if answer.status in (200, 201):
                    return
                # Another server may serve a new kind a moment later than the one that was asked; and one may be too busy.
                if answer.status not in (404, 429, 503, 504):
                    break
                time.sleep(0.1)
            raise RuntimeError(f"{url}: {answer.status} {answer.data[:300]!r}")

        list(pool.map(send, range(len(objects))))

    def _await_established(self, name: str) -> None:
        while True:
            found = json.loads(self._pool.request("GET", f"{self._servers[0]}{_DEFINITIONS}/{name}").data)
            conditions = (found.get("status") or {}).get("conditions") or []
            if any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
                return
            time.sleep(0.05)

    def _path(self, item: dict[str, Any]) -> str:
        api_version = item["apiVersion"]
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        kind = (api_version, item["kind"])
        if kind not in self._plurals:
            listing = json.loads(self._pool.request("GET", f"{self._servers[0]}{base}").data)
            for row in listing["resources"]:
                if "/" not in row["name"]:
                    self._plurals[api_version, row["kind"]] = (row["name"], row["namespaced"])
        plural, namespaced = self._plurals[kind]
        space = f"/namespaces/{item['metadata']['namespace']}" if namespaced else ""
        return f"{base}{space}/{plural}/{item['metadata']['name']}"


def _tls(kubeconfig: Path) -> ssl.SSLContext:
    import base64

    content = yaml.safe_load(kubeconfig.read_text())
    user, cluster = content["users"][0]["user"], content["clusters"][0]["cluster"]
    tls = create_urllib3_context()
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    tls.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    pair = kubeconfig.with_name("floor.pem")
    pair.touch(mode=0o600)
    pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
    tls.load_cert_chain(pair)
    return tls
