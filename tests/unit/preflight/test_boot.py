# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that do not answer yet, what a person compares at first contact, and what is unwise about a BMC."""

from __future__ import annotations

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Origin
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Entry, Host, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.machines import boot_warnings
from ansible_collections.trinode.platform.plugins.module_utils.preflight.observed import absent, check_observed, first_contacts
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import machine_values

FOUND: dict[str, Any] = {"trust": "maintenance", "fingerprint": "A" * 43 + "=", "uuid": "u1", "serial_number": "SN1"}
ABSENT: dict[str, Any] = {"trust": "unreachable", "problem": "no answer"}


def inventory(**variables: Any) -> Inventory:
    entries = {name: Entry(value, origin=Origin("host_vars/m1.yml", 1)) for name, value in {"machine_address": "192.0.2.11", **variables}.items()}
    return Inventory(cluster=Host("all", {}), machines=(Host("m1", entries),))


def test_who_does_not_answer_may_be_judged_later() -> None:
    observed = {"m1": ABSENT}
    assert absent(observed) == ["m1"]
    assert absent({"m1": FOUND}) == []
    assert [finding.variable for finding in check_observed(inventory(), observed)] == ["machine_address"]
    assert check_observed(inventory(), observed, absent_later=True) == []


def test_an_unpinned_certificate_is_shown() -> None:
    assert first_contacts(inventory(), {"m1": FOUND}) == [f"m1 at 192.0.2.11: certificate {'A' * 43}=, UUID u1, serial number SN1"]
    assert first_contacts(inventory(machine_certificate_fingerprint="A" * 43 + "="), {"m1": FOUND}) == []
    assert first_contacts(inventory(), {"m1": {**FOUND, "trust": "ours"}}) == []


def test_what_is_unwise_about_a_bmc() -> None:
    unwise = {"machine_bmc_address": "http://192.0.2.101", "machine_bmc_password": "secret", "machine_bmc_validate_certs": False}
    texts = boot_warnings(machine_values(inventory(**unwise))[0])
    assert ["clear text" in texts[0], "not verified" in texts[1], "without TLS" in texts[2]] == [True] * 3
    assert "secret" not in "".join(texts)
    wise = Host("m1", {"machine_bmc_address": Entry("192.0.2.101"), "machine_bmc_password": Entry(withheld=True)})
    assert boot_warnings(machine_values(Inventory(cluster=Host("all", {}), machines=(wise,)))[0]) == []
