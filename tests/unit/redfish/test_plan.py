"""What a BMC is to do: the plan as a table, and whose machine it is."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.redfish.identity import check_identity, normal_mac, same_uuid
from ansible_collections.trinode.platform.plugins.module_utils.redfish.plan import Desired, Media, Observed, plan, shown

IMAGE, OTHER = "http://192.0.2.1/talos.iso", "http://192.0.2.1/other.iso"
EMPTY = Media("Cd")
OFF = Observed("Off", serials=("ABC1234",), media=(EMPTY,))
ON = dataclasses.replace(OFF, power="On")
BOOT = Desired("booted", image=IMAGE)


def actions(desired: Desired, observed: Observed) -> list[str]:
    return [step.action for step in plan(desired, observed).steps]


@pytest.mark.parametrize(
    ("desired", "observed", "expected"),
    [
        (BOOT, OFF, ["insert", "boot-once", "power-on"]),
        (BOOT, dataclasses.replace(OFF, media=(Media("Cd", OTHER),)), ["eject", "insert", "boot-once", "power-on"]),
        (BOOT, dataclasses.replace(OFF, media=(Media("Cd", IMAGE),), boot_once="Cd"), ["eject", "insert", "power-on"]),
        (BOOT, dataclasses.replace(OFF, boot_once="UsbCd"), ["insert", "power-on"]),
        (BOOT, dataclasses.replace(OFF, boot_once="Pxe"), ["insert", "boot-once", "power-on"]),
        (dataclasses.replace(BOOT, confirm_serial="abc1234"), ON, ["power-off", "insert", "boot-once", "power-on"]),
        (dataclasses.replace(BOOT, talos="maintenance"), ON, []),
        (dataclasses.replace(BOOT, talos="member"), ON, []),
        (dataclasses.replace(BOOT, talos="member", confirm_serial="ABC1234"), ON, []),
        (dataclasses.replace(BOOT, leave_running=True), ON, []),
        (BOOT, dataclasses.replace(ON, media=(Media("Cd", IMAGE),)), []),
        (dataclasses.replace(BOOT, may_be_installed=True, confirm_serial="ABC1234"), OFF, ["insert", "boot-once", "power-on"]),
        (dataclasses.replace(BOOT, may_be_installed=True, source="hdd"), OFF, ["boot-once", "power-on"]),
        (Desired("booted", source="pxe"), OFF, ["boot-once", "power-on"]),
        (Desired("booted", source="pxe"), dataclasses.replace(OFF, media=()), ["boot-once", "power-on"]),
        (Desired("on"), OFF, ["power-on"]),
        (Desired("on"), ON, []),
        (Desired("off"), OFF, []),
        (Desired("off", talos="maintenance"), ON, ["power-off"]),
        (Desired("off", confirm_serial="ABC1234"), ON, ["power-off"]),
        (Desired("ejected"), dataclasses.replace(ON, media=(Media("Cd", OTHER), EMPTY)), ["eject"]),
        (Desired("ejected", image=IMAGE), dataclasses.replace(ON, media=(Media("Cd", OTHER),)), []),
        (Desired("ejected", image=IMAGE), dataclasses.replace(ON, media=(Media("Cd", IMAGE),)), ["eject"]),
    ],
)
def test_steps(desired: Desired, observed: Observed, expected: list[str]) -> None:
    assert actions(desired, observed) == expected


@pytest.mark.parametrize(
    ("desired", "observed", "said"),
    [
        (BOOT, ON, "not rebooted without a confirmation. What it runs would be lost. If that is what you want, confirm it with the serial number ABC1234"),
        (dataclasses.replace(BOOT, confirm_serial="XYZ"), ON, "the confirmation names 'XYZ', and the BMC reports the serial number ABC1234; nothing was done"),
        (dataclasses.replace(BOOT, confirm_serial="XYZ"), dataclasses.replace(ON, serials=()), "its serial number, which the BMC does not tell"),
        (dataclasses.replace(BOOT, may_be_installed=True), OFF, "is off and may be a member of this cluster; it is not booted from elsewhere"),
        (BOOT, dataclasses.replace(OFF, media=()), "no virtual drive"),
        (Desired("off", talos="member"), ON, "is on and a member of this cluster; it is not switched off"),
        (Desired("off"), ON, "not switched off without a confirmation"),
    ],
)
def test_refused(desired: Desired, observed: Observed, said: str) -> None:
    with pytest.raises(RefusedError, match=r"m1 \(https://192\.0\.2\.101\): ") as caught:
        plan(desired, observed, where="m1 (https://192.0.2.101)")
    assert said in str(caught.value)


def test_what_is_left_alone_says_why() -> None:
    assert "a confirmation that names the serial number ABC1234" in plan(dataclasses.replace(BOOT, leave_running=True), ON).left
    assert "with this image in its drive" in plan(BOOT, dataclasses.replace(ON, media=(Media("Cd", IMAGE),))).left


def test_the_drive_with_the_image_is_used_then_an_empty_one() -> None:
    steps = plan(BOOT, dataclasses.replace(OFF, media=(Media("1", OTHER), Media("2")))).steps
    assert [(step.action, step.drive) for step in steps[:2]] == [("insert", "2"), ("boot-once", "")]
    steps = plan(BOOT, dataclasses.replace(OFF, media=(Media("1"), Media("2", IMAGE)))).steps
    assert [(step.action, step.drive) for step in steps[:2]] == [("eject", "2"), ("insert", "2")]


def test_the_plan_is_empty_for_what_it_leads_to() -> None:
    after = plan(BOOT, OFF).after
    assert after is not None
    assert shown(after) == f"power: On\nnext boot: Cd\nCd: {IMAGE}\n"
    assert plan(BOOT, after).steps == ()


FOUND = Observed("Off", serials=("ABC1234", "SKU9"), uuid="4c4c4544-0042-3510-8052-b4c04f4b4433", macs=("52:54:00:00:00:01",))


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"serial": "sku9"},
        {"uuid_": "4C4C4544-0042-3510-8052-B4C04F4B4433"},
        {"uuid_": "44454c4c-4200-1035-8052-b4c04f4b4433"},
        {"macs": ["52-54-00-00-00-01", "52:54:00:00:00:02"]},
    ],
)
def test_the_machine_that_is_meant(wanted: dict[str, object]) -> None:
    check_identity(FOUND, where="m1", **{"serial": "", "uuid_": "", "macs": [], **wanted})  # type: ignore[arg-type]


def test_a_bmc_that_tells_nothing_is_not_another_machine() -> None:
    check_identity(Observed("Off"), serial="ABC", uuid_=FOUND.uuid, macs=["52:54:00:00:00:09"], where="m1")


def test_another_machine_is_refused_with_all_that_differs() -> None:
    with pytest.raises(RefusedError) as caught:
        check_identity(FOUND, serial="XYZ", uuid_="4c4c4544-0042-3510-8052-b4c04f4b4434", macs=["52:54:00:00:00:09"], where="m1")
    for part in (
        "ABC1234 or SKU9, not XYZ",
        "not 4c4c4544-0042-3510-8052-b4c04f4b4434",
        "52:54:00:00:00:01, and none of 52:54:00:00:00:09",
        "nothing was done",
    ):
        assert part in str(caught.value)


def test_uuids_and_macs() -> None:
    assert not same_uuid("not a uuid", FOUND.uuid)
    assert same_uuid("Not-Specified", "not-specified")
    assert normal_mac("5254.0000.0001") == "52:54:00:00:00:01"
    assert normal_mac("52:54") == ""
