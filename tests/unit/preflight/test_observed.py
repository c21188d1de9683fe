# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Entry, Host, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.observed import check_observed


def inventory(**machine: str) -> Inventory:
    return Inventory(Host("all", {}), (Host("m1", {name: Entry(value) for name, value in machine.items()}),))


def test_before_the_talosconfig_is_made_from_the_secrets_nobody_is_foreign() -> None:
    observed = {"m1": {"trust": "foreign", "problem": "it wants a client certificate"}}
    assert len(check_observed(inventory(machine_address="192.0.2.11"), observed)) == 1
    assert check_observed(inventory(machine_address="192.0.2.11"), observed, credentials_pending=True) == []


def test_one_of_ours_that_cannot_be_read_now_is_not_refused() -> None:
    observed = {"m1": {"trust": "ours", "problem": "the client certificate has expired", "uuid": ""}}
    assert check_observed(inventory(machine_uuid="4c4c4544-0042-3510-8052-b4c04f4b4433"), observed) == []


def test_a_fingerprint_may_be_given_in_hexadecimal() -> None:
    observed = {"m1": {"trust": "maintenance", "fingerprint": "A" * 43 + "="}}
    assert check_observed(inventory(machine_certificate_fingerprint=":".join(["00"] * 32)), observed) == []
    (finding,) = check_observed(inventory(machine_certificate_fingerprint=":".join(["01"] * 32)), observed)
    assert finding.variable == "machine_certificate_fingerprint"
