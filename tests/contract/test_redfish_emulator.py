# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redfish_boot against sushy-tools' Redfish emulator, with its fake machine: another's understanding of the standard than our own tests' BMC."""

from __future__ import annotations

import functools
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import redfish_boot

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]

pytest.importorskip("sushy_tools", reason="sushy-tools is not installed: run `make setup`")

UUID, MAC = "4c4c4544-0042-3510-8052-b4c04f4b4433", "52:54:00:00:00:01"
DEFAULTS = {name: spec.get("default") for name, spec in redfish_boot.ARGUMENT_SPEC.items()}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    machine = {"uuid": UUID, "name": "m1", "power_state": "Off", "external_notifier": False, "nics": [{"mac": MAC, "ip": "192.0.2.11"}]}
    (tmp_path / "state").mkdir()
    config = tmp_path / "emulator.conf"
    config.write_text(f"SUSHY_EMULATOR_STATE_DIR = {str(tmp_path / 'state')!r}\nSUSHY_EMULATOR_FAKE_SYSTEMS = {[machine]!r}\n")
    argv = [sys.executable, "-m", "sushy_tools.emulator.main", "--fake", "--config", str(config), "-i", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url)
            yield url
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/redfish/v1/", timeout=5):  # noqa: S310  of the loopback address
                return
        except OSError:
            assert time.monotonic() < end, "the emulator did not start"
            time.sleep(0.1)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    """The URL of an image that the emulator can fetch."""
    directory = tmp_path / "images"
    directory.mkdir()
    (directory / "talos.iso").write_bytes(b"\0" * 1024)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/talos.iso"
    server.shutdown()
    server.server_close()


def boot(url: str, *, check_mode: bool = False, **options: Any) -> Outcome:
    params = {**DEFAULTS, "address": url, "username": "admin", "password": "hunter2hunter2", "pause": 0, "timeout": 300, "uuid": UUID, **options}
    return redfish_boot.run(Task(params, check_mode, True, lambda _text: None))


def system(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/redfish/v1/Systems/{UUID}", timeout=300) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def test_from_power_off_to_the_image_and_back(emulator: str, image: str) -> None:
    predicted = boot(emulator, image=image, macs=[MAC], check_mode=True)
    assert system(emulator)["PowerState"] == "Off"
    done = boot(emulator, image=image, macs=[MAC])
    assert done.values["steps"] == predicted.values["steps"]
    assert [step.split()[0] for step in done.values["steps"]] == ["put", "boot", "switch"]
    assert (system(emulator)["PowerState"], system(emulator)["Boot"]["BootSourceOverrideTarget"]) == ("On", "Cd")
    assert not boot(emulator, state="on").changed
    assert boot(emulator, state="ejected").changed
    assert not boot(emulator, state="ejected").changed
    with pytest.raises(RefusedError, match="not rebooted without a confirmation"):
        boot(emulator, image=image)
    assert boot(emulator, state="off", talos="maintenance").values["power"] == "Off"
    assert boot(emulator, boot_source="pxe").changed
    assert (system(emulator)["PowerState"], system(emulator)["Boot"]["BootSourceOverrideTarget"]) == ("On", "Pxe")


def test_another_machine(emulator: str) -> None:
    with pytest.raises(RefusedError, match=f"its UUID is {UUID}, not"):
        boot(emulator, uuid=UUID.replace("4c", "4d"), image="http://127.0.0.1:9/x.iso")
    assert system(emulator)["PowerState"] == "Off"


def test_an_image_that_is_not_there(emulator: str) -> None:
    with pytest.raises(Exception, match=r"did not take the image in 3 tries.*Check that the BMC itself reaches http://127\.0\.0\.1:9/x\.iso"):
        boot(emulator, image="http://127.0.0.1:9/x.iso", media_timeout=5)
    assert system(emulator)["PowerState"] == "Off"
