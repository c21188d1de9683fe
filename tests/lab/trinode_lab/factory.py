"""The lab's image factory: boot images under the names of the real one, and the network's boot files. Everything that it serves is a stand-in: it says which
Talos it would be, and the lab's machines boot that (firmware.py).

    GET  /image/SCHEMATIC/VERSION/metal-amd64.iso (…-secureboot.iso, kernel-amd64, initramfs-amd64.xz; arm64 too)
    GET  /pxe/SCHEMATIC/VERSION/metal-amd64       an iPXE script
    POST /schematics                              a schematic; its identifier is the SHA-256 of what is posted, which is to be in the factory's own form
    GET  /boot/NAME                               files of ``<state>/boot``: what a user's PXE server would serve
"""

from __future__ import annotations

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trinode_lab.timeline import Timeline

PORT = 8080
EMPTY_SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"
_ISO_BYTES, _VOLUME_DESCRIPTOR = 1 << 17, 1 << 15
_IMAGE = re.compile(r"/image/([0-9a-f]{64})/(v\d+\.\d+\.\d+[^/]*)/([a-z0-9.-]+)")
_PXE = re.compile(r"/pxe/([0-9a-f]{64})/(v\d+\.\d+\.\d+[^/]*)/metal-(amd64|arm64)(-secureboot)?")
_FILES = re.compile(r"metal-(amd64|arm64)(-secureboot)?\.iso|kernel-(amd64|arm64)|initramfs-(amd64|arm64)\.xz")


def image(schematic: str, version: str, name: str) -> bytes:
    """Contents of an image: for a CD the mark of one, where firmware looks for it."""
    text = f"{name} of Talos {version}, schematic {schematic}: a stand-in of the lab\n".encode()
    if not name.endswith(".iso"):
        return text
    descriptor = b"\x01CD001\x01\x00" + b"trinode lab".ljust(32) + b"TALOS".ljust(32)
    return text.ljust(_VOLUME_DESCRIPTOR, b"\0") + descriptor.ljust(_ISO_BYTES - _VOLUME_DESCRIPTOR, b"\0")


class Factory(BaseHTTPRequestHandler):
    """GET with ranges, HEAD, and POST of schematics."""

    protocol_version = "HTTP/1.1"
    state: Path
    timeline: Timeline

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := _IMAGE.fullmatch(path):
            self._image(*match.groups())
        elif match := _PXE.fullmatch(path):
            self._script(match[1], match[2], match[3])
        elif path.startswith("/boot/"):
            self._boot_file(path.removeprefix("/boot/"))
        else:
            self._refuse(f"nothing is served at {path}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if urlsplit(self.path).path != "/schematics":
            self._refuse(f"nothing is taken at {self.path}")
            return
        name = hashlib.sha256(body).hexdigest()
        directory = self.state / "schematics"
        directory.mkdir(exist_ok=True)
        (directory / name).write_bytes(body)
        self._answer(201, json.dumps({"id": name}).encode(), "application/json")

    def _image(self, schematic: str, version: str, name: str) -> None:
        if not self._known(schematic):
            self._refuse(f"schematic {schematic} is not known: it is to be posted to /schematics first")
        elif not _FILES.fullmatch(name):
            self._refuse(f"there is no {name} of Talos")
        else:
            self._answer(200, image(schematic, version, name), "application/octet-stream")

    def _known(self, schematic: str) -> bool:
        return schematic == EMPTY_SCHEMATIC or (self.state / "schematics" / schematic).exists()

    def _script(self, schematic: str, version: str, architecture: str) -> None:
        if not self._known(schematic):
            self._refuse(f"schematic {schematic} is not known: it is to be posted to /schematics first")
            return
        base = f"http://{self.headers['Host']}/image/{schematic}/{version}"
        lines = (
            "#!ipxe",
            f"kernel {base}/kernel-{architecture} talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0",
            f"initrd {base}/initramfs-{architecture}.xz",
            "boot",
        )
        self._answer(200, "\n".join(lines).encode() + b"\n", "text/plain")

    def _boot_file(self, name: str) -> None:
        directory = (self.state / "boot").resolve()
        path = (directory / name).resolve()
        if directory in path.parents and path.is_file():
            self._answer(200, path.read_bytes(), "application/octet-stream")
        else:
            self._refuse(f"there is no {name} in {directory}")

    def _refuse(self, message: str) -> None:
        self._answer(404, f"{message}\n".encode(), "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        total = len(body)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and status == 200:
            first, last = int(asked[1]), min(int(asked[2] or total - 1), total - 1)
            if first >= total:
                status, body = 416, b""
            else:
                status, body = 206, body[first : last + 1]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Accept-Ranges", "bytes")
        if status == 206 and asked:
            self.send_header("Content-Range", f"bytes {int(asked[1])}-{int(asked[1]) + len(body) - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if urlsplit(self.path).path.endswith(".iso") and status >= 400:
            self.timeline.record("boot-image-refused", path=self.path)
