"""What a machine boots: URLs, the kernel's command line, and what the factory says to a schematic."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import boot_image
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import EMPTY_SCHEMATIC, make_schematic

FACTORY = "https://factory.talos.dev"
BASE = f"{FACTORY}/image/{EMPTY_SCHEMATIC}/v1.13.8"
# What talosctl's imager 1.13.8 has for metal, in its order (pkg/imager/imager.go, kernel.DefaultArgs).
METAL = (
    "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 "
    "module.sig_enforce=1 proc_mem.force_override=never"
)


def test_the_factorys_files() -> None:
    image = boot_image.factory_image(make_schematic(), factory=f"{FACTORY}/", talos_version="v1.13.8")
    assert image == boot_image.BootImage(f"{BASE}/metal-amd64.iso", f"{BASE}/kernel-amd64", f"{BASE}/initramfs-amd64.xz", METAL)
    assert image.ipxe == f"#!ipxe\nimgfree\nkernel {BASE}/kernel-amd64 {METAL}\ninitrd {BASE}/initramfs-amd64.xz\nboot\n"


def test_secure_boot_has_one_file_for_the_network() -> None:
    image = boot_image.factory_image(make_schematic(), factory=FACTORY, talos_version="v1.13.8", secure_boot=True)
    assert image == boot_image.BootImage(f"{BASE}/metal-amd64-secureboot.iso", uki=f"{BASE}/metal-amd64-secureboot-uki.efi")
    assert image.ipxe == f"#!ipxe\nimgfree\nkernel {BASE}/metal-amd64-secureboot-uki.efi\nboot\n"


def test_extensions_and_arguments_make_another_schematic() -> None:
    schematic = make_schematic(["siderolabs/iscsi-tools"], ["console=ttyS0", "net.ifnames=0"])
    image = boot_image.factory_image(schematic, factory=FACTORY, talos_version="v1.13.8", architecture="arm64")
    assert image.iso == f"{FACTORY}/image/{schematic.id}/v1.13.8/metal-arm64.iso"
    assert image.command_line == METAL.replace("console=tty0 ", "") + " console=ttyS0 net.ifnames=0"


@pytest.mark.parametrize(
    ("version", "extra", "expected"),
    [
        ("v1.12.4", [], METAL.removesuffix(" proc_mem.force_override=never")),
        ("v1.13.8", ["-init_on_alloc", "-selinux=0"], METAL.replace("init_on_alloc=1 ", "")),
        ("v1.13.8", ["-selinux=1"], METAL.replace("selinux=1 ", "")),
        ("v1.13.8", ["quiet"], f"{METAL} quiet"),
    ],
)
def test_command_line(version: str, extra: list[str], expected: str) -> None:
    parsed = Version.parse(version)
    assert parsed
    assert boot_image.command_line(parsed, extra) == expected


def test_ones_own_files() -> None:
    image = boot_image.own_image("http://x/t.iso", {})
    assert (image.iso, image.ipxe) == ("http://x/t.iso", "")
    assert boot_image.own_image("", {"kernel": "http://x/k", "initramfs": "http://x/i", "command_line": "a b"}).ipxe.splitlines()[2] == "kernel http://x/k a b"
    with pytest.raises(InputError, match="no kernel and initramfs"):
        boot_image.own_image("", {"kernel": "http://x/k"})


def test_a_version_is_needed() -> None:
    with pytest.raises(InputError, match="not a version of Talos"):
        boot_image.factory_image(make_schematic(), factory=FACTORY, talos_version="latest")


class Factory(BaseHTTPRequestHandler):
    status, identity = 201, EMPTY_SCHEMATIC
    received: list[bytes] = []  # noqa: RUF012  a test looks at it

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps({"id": self.identity}).encode())

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Factory, "received", [])
    server = HTTPServer(("127.0.0.1", 0), Factory)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_factory_learns_the_schematic(factory: str) -> None:
    assert boot_image.register(make_schematic(), factory, Deadline(300))
    assert Factory.received == [b"customization: {}\n"]


def test_another_identifier_is_refused(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Factory, "identity", "f" * 64)
    with pytest.raises(ConnectionFailed, match=f"calls the schematic {'f' * 64}, and it is {EMPTY_SCHEMATIC}"):
        boot_image.register(make_schematic(), factory, Deadline(300))


def test_a_mirror_of_files_takes_no_schematic(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Factory, "status", 405)
    assert not boot_image.register(make_schematic(), factory, Deadline(300))


def test_a_factory_that_fails_or_is_not_there(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Factory, "status", 500)
    with pytest.raises(ConnectionFailed, match="answered 500"):
        boot_image.register(make_schematic(), factory, Deadline(300))
    with pytest.raises(ConnectionFailed, match="does not answer"):
        boot_image.register(make_schematic(), "http://127.0.0.1:9", Deadline(5))
