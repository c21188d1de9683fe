"""The lab's servers on the bridge: a read-only OCI registry that mirrors every registry name, the charts, and the image factory (factory.py).

It serves the images of images.py under the repository's name without its host, and the stub image under any other name. A pull of a name that the fault
file lists is refused. Faults: one ``repository`` or ``repository:tag`` a line, in ``<state>/registry/faults``, read for every request.
Run as ``python -m trinode_lab.registry STATE ADDRESS IMAGES``.
"""

from __future__ import annotations

import functools
import json
import re
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from trinode_lab import factory
from trinode_lab.images import ANY
from trinode_lab.timeline import Timeline

REGISTRY_PORT = 5000
CHARTS_PORT = 8879
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry(BaseHTTPRequestHandler):
    """GET and HEAD of the distribution API."""

    protocol_version = "HTTP/1.1"
    images: Path
    faults: Path
    timeline: Timeline

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path in ("/v2", "/v2/"):
            self._answer(200, b"{}", "application/json")
        elif match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", url.path):
            self._manifest(match[1], match[2], parse_qs(url.query).get("ns", [""])[0])
        elif match := re.fullmatch(r"/v2/.+/blobs/sha256:([0-9a-f]{64})", url.path):
            self._blob(match[1])
        else:
            self._refuse("UNSUPPORTED", f"nothing is served at {url.path}")

    def _manifest(self, repository: str, reference: str, source: str) -> None:
        name = f"{source}/{repository}" if source else repository
        if self._faulty(name, repository, reference):
            self.timeline.record("image-refused", image=f"{name}:{reference}")
            self._refuse("MANIFEST_UNKNOWN", f"the lab's fault makes {name}:{reference} unpullable")
            return
        index = json.loads((self.images / "index.json").read_text())
        tags = index.get(repository, index[ANY])
        digest = reference if reference.startswith("sha256:") else tags.get(reference, tags.get(ANY))
        path = self._path(digest.removeprefix("sha256:")) if digest else None
        if path is None or not path.exists():
            self._refuse(
                "MANIFEST_UNKNOWN", f"the lab has no image {name}:{reference}; of {repository} it has {', '.join(index.get(repository, {})) or 'none'}"
            )
            return
        if self.command == "GET":
            self.timeline.record("image-pull", image=f"{name}:{reference}")
        self._answer(200, path.read_bytes(), MANIFEST, digest)

    def _faulty(self, name: str, repository: str, reference: str) -> bool:
        if not self.faults.exists():
            return False
        names = {name, repository, f"{name}:{reference}", f"{repository}:{reference}"}
        return not names.isdisjoint(self.faults.read_text().split())

    def _path(self, digest: str) -> Path:
        return self.images / "blobs" / "sha256" / digest

    def _blob(self, digest: str) -> None:
        path = self._path(digest)
        if not path.exists():
            self._refuse("BLOB_UNKNOWN", digest)
            return
        with path.open("rb") as source:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(path.stat().st_size))
            self.send_header("Docker-Content-Digest", f"sha256:{digest}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.flush()
                self.connection.sendfile(source)

    def _answer(self, status: int, body: bytes, kind: str, digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, code: str, message: str) -> None:
        self._answer(404, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), "application/json")


class Charts(SimpleHTTPRequestHandler):
    """Plain files, keep-alive."""

    protocol_version = "HTTP/1.1"


def main(state: Path, address: str, images: Path) -> None:
    Registry.images = images
    Registry.faults = state / "registry" / "faults"
    Registry.timeline = Timeline(state / "timeline.jsonl")
    factory.Factory.state, factory.Factory.timeline = state, Registry.timeline
    servers = [
        ThreadingHTTPServer((address, REGISTRY_PORT), Registry),
        ThreadingHTTPServer((address, factory.PORT), factory.Factory),
        ThreadingHTTPServer((address, CHARTS_PORT), functools.partial(Charts, directory=str(state / "charts"))),
    ]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
