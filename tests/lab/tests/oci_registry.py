# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCI registry with one chart, over TLS on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from api_server import Authority

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG, _CHART = (f"application/vnd.cncf.helm.{kind}" for kind in ("config.v1+json", "chart.content.v1.tar+gzip"))


@dataclass(frozen=True)
class Registry:
    """``authority`` is the certificate of whom its own is to be trusted by."""

    url: str
    authority: Path


@contextlib.contextmanager
def serving(archive: Path, name: str, version: str, directory: Path) -> Iterator[Registry]:
    """Serve the chart until the block ends; every other one is answered as unknown. Certificates are written to ``directory``."""
    answers = _answers(archive.read_bytes(), f"/v2/charts/{name}", version)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, (kind, content) = (200, answers[self.path]) if self.path in answers else (404, _UNKNOWN)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    authority = Authority(directory)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("registry", addresses=["127.0.0.1"]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Registry(f"oci://127.0.0.1:{server.server_port}/charts", authority.certificate)
    finally:
        server.shutdown()
        server.server_close()


_UNKNOWN = ("application/json", json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN"}]}).encode())


def _answers(chart: bytes, path: str, version: str) -> Mapping[str, tuple[str, bytes]]:
    """By path: the content type and the content."""
    config = b"{}"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": _described(_CONFIG, config), "layers": [_described(_CHART, chart)]}).encode()
    blobs = {f"{path}/blobs/{_digest(blob)}": ("application/octet-stream", blob) for blob in (config, chart)}
    return blobs | {f"{path}/manifests/{reference}": (_MANIFEST, manifest) for reference in (version, _digest(manifest))}


def _described(kind: str, blob: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
