"""The module redfish_boot with sushy against a simulated BMC on the loopback address: what it does, what it leaves, and how it says what is wrong."""

from __future__ import annotations

import builtins
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_bmc import DRIVE, PASSWORD, SYSTEM, USER, FakeBmc, make_certificate, serving

from ansible_collections.trinode.platform.plugins.module_utils import progress
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, DeadlineExceeded, InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.redfish import bmc as bmc_module
from ansible_collections.trinode.platform.plugins.module_utils.redfish import connection, failures, gentle
from ansible_collections.trinode.platform.plugins.module_utils.redfish.failures import BmcCertificateRefused, BmcFailed, BmcLoginRefused, BmcUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import redfish_boot

IMAGE = "http://192.0.2.1/talos.iso"
INSERT, EJECT = (f"POST {DRIVE}/Actions/VirtualMedia.{name}" for name in ("InsertMedia", "EjectMedia"))
RESET, BOOT_ONCE = f"POST {SYSTEM}/Actions/ComputerSystem.Reset", f"PATCH {SYSTEM}"
DEFAULTS = {name: spec.get("default") for name, spec in redfish_boot.ARGUMENT_SPEC.items()}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gentle.Gentle.__init__, "__kwdefaults__", {"pauses": (0.01, 0.02)})
    monkeypatch.setattr(bmc_module.Bmc, "look_seconds", 0.01)


@pytest.fixture
def bmc() -> Iterator[FakeBmc]:
    with serving(FakeBmc()) as running:
        yield running


@pytest.fixture
def lines() -> Iterator[list[str]]:
    heard: list[str] = []
    progress.listen(heard.append)
    yield heard
    progress.listen(None)


def boot(bmc: FakeBmc, *, check_mode: bool = False, **options: Any) -> Outcome:
    params = {**DEFAULTS, "address": bmc.url, "username": USER, "password": PASSWORD, "name": "m1", "image": IMAGE, "pause": 0, "timeout": 300, **options}
    return redfish_boot.run(Task(params, check_mode, True, lambda _text: None))


def test_a_machine_that_is_off_boots_from_the_image(bmc: FakeBmc, lines: list[str]) -> None:
    outcome = boot(bmc)
    assert outcome.changed
    assert bmc.changes == [INSERT, BOOT_ONCE, RESET]
    assert (bmc.power, bmc.image, bmc.boot["BootSourceOverrideTarget"], bmc.boot["BootSourceOverrideEnabled"]) == ("On", IMAGE, "Cd", "Once")
    assert outcome.values["steps"] == [f"put {IMAGE} into {DRIVE}", "boot once from Cd", "switch it on"]
    assert lines == [f"m1: {step}" for step in outcome.values["steps"]]
    assert {key: outcome.values[key] for key in ("power", "serial", "model", "left")} == {"power": "On", "serial": "ABC1234", "model": "Model 1", "left": ""}
    assert outcome.diff["before"] == f"power: Off\nnext boot: as usual\n{DRIVE}: empty\n"  # type: ignore[index, call-overload]
    assert outcome.diff["after"] == f"power: On\nnext boot: Cd\n{DRIVE}: {IMAGE}\n"  # type: ignore[index, call-overload]
    assert not bmc.tokens, "the session was given back"


def test_check_mode_predicts_and_touches_nothing(bmc: FakeBmc) -> None:
    predicted = boot(bmc, check_mode=True)
    assert bmc.changes == []
    done = boot(bmc)
    assert (predicted.changed, predicted.values["steps"], predicted.diff) == (done.changed, done.values["steps"], done.diff)


@pytest.mark.parametrize("talos", ["maintenance", "member"])
def test_what_is_there_already_is_left_alone(bmc: FakeBmc, talos: str) -> None:
    assert not boot(bmc, talos=talos, confirm_serial="ABC1234").changed
    assert bmc.calls == [], "the BMC is not even asked"


def test_a_second_call_takes_the_machine_to_boot(bmc: FakeBmc) -> None:
    boot(bmc)
    bmc.calls.clear()
    again = boot(bmc)
    assert not again.changed
    assert "with this image in its drive" in again.values["left"]
    assert bmc.changes == []


def test_a_machine_that_runs_something_is_not_rebooted_unasked(bmc: FakeBmc) -> None:
    bmc.power = "On"
    with pytest.raises(RefusedError, match="confirm it with the serial number ABC1234"):
        boot(bmc)
    assert "ABC1234" in boot(bmc, running="leave").values["left"]
    with pytest.raises(RefusedError, match="the confirmation names 'XYZ', and the BMC reports the serial number ABC1234"):
        boot(bmc, confirm_serial="XYZ")
    assert bmc.changes == []
    outcome = boot(bmc, confirm_serial="ABC1234")
    assert bmc.changes == [RESET, INSERT, BOOT_ONCE, RESET]
    assert outcome.values["steps"][0] == "switch it off"


def test_dells_service_tag_is_the_serial_number(bmc: FakeBmc) -> None:
    bmc.manufacturer, bmc.sku, bmc.serial = "Dell Inc.", "TAG1234", "CNBOARD"
    assert boot(bmc, check_mode=True, serial="TAG1234").values["serial"] == "TAG1234"


def test_pxe_and_disk(bmc: FakeBmc) -> None:
    bmc.faults.drives = False
    assert boot(bmc, boot_source="pxe", image="").values["steps"] == ["boot once from Pxe", "switch it on"]
    assert bmc.boot["BootSourceOverrideTarget"] == "Pxe"
    bmc.power = "Off"
    assert boot(bmc, boot_source="hdd", image="").changed
    assert bmc.boot["BootSourceOverrideTarget"] == "Hdd"


def test_the_image_is_taken_out_again(bmc: FakeBmc) -> None:
    boot(bmc)
    assert boot(bmc, state="ejected").values["steps"] == [f"take {IMAGE} out of {DRIVE}"]
    assert (bmc.image, bmc.power) == ("", "On")
    assert not boot(bmc, state="ejected").changed


def test_power(bmc: FakeBmc) -> None:
    assert boot(bmc, state="on").values["power"] == "On"
    assert not boot(bmc, state="on").changed
    assert boot(bmc, state="off", talos="maintenance").values["power"] == "Off"
    assert not boot(bmc, state="off").changed


def test_a_drive_that_hangs_is_emptied_and_tried_again(bmc: FakeBmc, lines: list[str]) -> None:
    bmc.faults.hanging_inserts = 1
    boot(bmc, media_timeout=1)
    assert bmc.changes == [INSERT, EJECT, INSERT, BOOT_ONCE, RESET]
    assert any("does not take the image within 1 s; the drive is emptied, and it is tried again" in line for line in lines)


def test_an_insertion_that_is_not_answered_is_tried_again(bmc: FakeBmc) -> None:
    bmc.faults.slow_inserts, bmc.faults.slow_seconds = 1, 1.5
    boot(bmc, media_timeout=1)
    assert bmc.changes == [INSERT, EJECT, INSERT, BOOT_ONCE, RESET]
    assert bmc.power == "On"


def test_a_drive_that_goes_on_hanging(bmc: FakeBmc) -> None:
    bmc.faults.hanging_inserts = 9
    with pytest.raises(bmc_module.MediaHangs) as caught:
        boot(bmc, media_timeout=0.5)
    assert f"the virtual drive {DRIVE} did not take the image in 3 tries" in str(caught.value)
    assert f"Check that the BMC itself reaches {IMAGE}" in str(caught.value)
    assert bmc.changes == [INSERT, EJECT] * 3
    assert (bmc.power, bmc.image) == ("Off", "")


def test_one_deadline_for_all(bmc: FakeBmc) -> None:
    bmc.faults.hanging_inserts = 9
    with pytest.raises(DeadlineExceeded, match="did not take the image"):
        boot(bmc, media_timeout=60, timeout=1)
    assert not bmc.tokens, "the session was given back all the same"


def test_power_that_is_stuck(bmc: FakeBmc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmc_module, "POWER_SECONDS", 0.1)
    bmc.faults.stuck_power = True
    with pytest.raises(DeadlineExceeded, match="the BMC did not switch the machine on within 0 s"):
        boot(bmc)


def test_busy_answers_are_waited_out(bmc: FakeBmc, lines: list[str]) -> None:
    bmc.faults.busy = 2
    assert boot(bmc).changed
    assert f"the BMC {bmc.url} answers with HTTP 503; trying again in 0 s" in lines


def test_a_connection_that_breaks_is_tried_again_for_what_only_reads(bmc: FakeBmc) -> None:
    bmc.faults.hang_up = 1
    assert boot(bmc, check_mode=True).changed


def test_a_password_is_tried_once(bmc: FakeBmc) -> None:
    with pytest.raises(BmcLoginRefused, match="the BMC refuses user name or password") as caught:
        boot(bmc, password="wrong-password")
    assert bmc.logins == 1
    assert "wrong-password" not in str(caught.value)


def test_a_bmc_without_sessions(bmc: FakeBmc) -> None:
    bmc.faults.sessions = False
    assert boot(bmc).changed
    with pytest.raises(BmcLoginRefused):
        boot(bmc, password="wrong-password")
    assert bmc.logins == 1


def test_a_user_without_rights(bmc: FakeBmc) -> None:
    bmc.faults.forbidden = True
    with pytest.raises(BmcLoginRefused, match="does not allow this user to put the image into its virtual drive"):
        boot(bmc)


def test_a_bmc_that_fails(bmc: FakeBmc) -> None:
    bmc.faults.failing = 99
    with pytest.raises(BmcFailed, match=r"did not let us in \(HTTP 500\)"):
        boot(bmc)


def test_no_virtual_drive(bmc: FakeBmc) -> None:
    bmc.faults.drives = False
    with pytest.raises(RefusedError, match="no virtual drive"):
        boot(bmc)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"serial": "XYZ"}, "its serial number is ABC1234, not XYZ"),
        ({"uuid": "4c4c4544-0042-3510-8052-b4c04f4b4434"}, "its UUID is 4c4c4544-0042-3510-8052-b4c04f4b4433, not"),
        ({"macs": ["52:54:00:00:00:09"]}, "its links have the addresses 52:54:00:00:00:01"),
    ],
)
def test_another_machine_is_not_touched(bmc: FakeBmc, wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=f"another machine is behind this BMC: {said}"):
        boot(bmc, confirm_serial="ABC1234", **wanted)
    assert bmc.changes == []


def test_one_of_several_machines(bmc: FakeBmc) -> None:
    bmc.systems = 2
    with pytest.raises(InputError, match=r"the BMC has 2 machines \(there are: /redfish/v1/Systems/1, /redfish/v1/Systems/2\)"):
        boot(bmc)
    with pytest.raises(InputError, match="the BMC has no machine '3'"):
        boot(bmc, system="3")
    assert boot(bmc, system="1").changed


def test_calls_are_apart(bmc: FakeBmc) -> None:
    boot(bmc, check_mode=True, pause=0.05)
    assert min(after - before for before, after in zip(bmc.times, bmc.times[1:], strict=False)) >= 0.045


def test_a_dead_bmc() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(BmcUnreachable, match=rf"^http://127.0.0.1:{port}: the BMC does not answer \(connection refused\)\. Check its address"):
        boot(FakeBmc(url=f"http://127.0.0.1:{port}"))


def test_a_dead_bmc_and_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gentle.Gentle.__init__, "__kwdefaults__", {"pauses": (5.0, 5.0)})
    with pytest.raises(BmcUnreachable, match="connection refused"):
        boot(FakeBmc(url="http://127.0.0.1:9"), timeout=1)


def test_a_bmc_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gentle, "READ_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(BmcUnreachable, match="no answer in time"):
        boot(FakeBmc(url=f"http://127.0.0.1:{silent.getsockname()[1]}"))


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(BmcUnreachable, match="its name does not resolve"):
        boot(FakeBmc(url="https://no-such-bmc.invalid"))


def test_certificates(tmp_path: Path) -> None:
    with serving(FakeBmc(), tmp_path) as bmc:
        shown = failures.shown_fingerprint(bmc.url)
        assert len(shown) == 95
        with pytest.raises(BmcCertificateRefused, match=f"certificate is not trusted .*fingerprint is {shown}"):
            boot(bmc)
        with pytest.raises(BmcCertificateRefused, match="not trusted"):
            boot(bmc, ca_file=str(make_certificate(tmp_path, "other")))
        with pytest.raises(BmcCertificateRefused, match=f"another certificate than the one that was named; its SHA-256 fingerprint is {shown}"):
            boot(bmc, certificate_fingerprint="00" * 32)
        assert bmc.logins == 0, "no password was sent to whom is not trusted"
        assert boot(bmc, ca_file=bmc.certificate_file, check_mode=True).changed
        assert boot(bmc, certificate_fingerprint=shown, check_mode=True).changed
        assert boot(bmc, validate_certs=False, check_mode=True).changed


def test_no_tls_where_it_is_expected(bmc: FakeBmc) -> None:
    with pytest.raises(BmcUnreachable, match="does not speak TLS"):
        boot(FakeBmc(url=bmc.url.replace("http:", "https:")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": ""}, "there is no image"),
        ({"address": "ftp://x"}, "not the address of a BMC"),
        ({"address": "https://user:pw@x"}, "not the address of a BMC"),
        ({"ca_file": "/nonexistent"}, "there is no file /nonexistent"),
        ({"certificate_fingerprint": "12:34"}, "not the SHA-256 fingerprint"),
    ],
)
def test_bad_input(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        boot(FakeBmc(url="http://127.0.0.1:9"), **options)


@pytest.mark.parametrize(
    ("text", "url"), [("192.0.2.101", "https://192.0.2.101"), ("2001:db8::1", "https://[2001:db8::1]"), ("http://x:8000/", "http://x:8000")]
)
def test_addresses(text: str, url: str) -> None:
    assert connection.normalized_url(text) == url


def test_sushy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("sushy"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CommandError, match="the Python package sushy is missing"):
        boot(FakeBmc(url="http://127.0.0.1:9"))


def test_nothing_is_logged_elsewhere(bmc: FakeBmc, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(PlatformError):
        boot(bmc, password="wrong-password")
    boot(bmc)
    printed = "".join(capfd.readouterr())
    assert "hunter2" not in caplog.text + printed
    assert "Redfish" not in printed
    assert not logging.getLogger("sushy").propagate
