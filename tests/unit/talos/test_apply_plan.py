from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.apply_plan import (
    Plan,
    RunningConfig,
    check_reboot,
    plan_running,
    refuse_foreign,
    refuse_pending,
)
from ansible_collections.trinode.platform.plugins.module_utils.talos.config_diff import compare

RUNNING = "version: v1alpha1\nmachine:\n  type: worker\n  sysctls: {a: '1'}\n"
DESIRED = "version: v1alpha1\nmachine:\n  type: worker\n  sysctls: {a: '2'}\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nhostname: w1\n"
CHANGES = compare(RUNNING, DESIRED)


def test_no_difference_no_step() -> None:
    plan = plan_running([], needs_reboot=False)
    assert plan.step == "none"
    assert not plan.changed


@pytest.mark.parametrize(("needs_reboot", "step"), [(False, "no-reboot"), (True, "reboot")])
def test_the_least_disruptive_step(needs_reboot: bool, step: str) -> None:
    plan = plan_running(CHANGES, needs_reboot=needs_reboot)
    assert plan.step == step
    assert plan.changed
    assert "HostnameConfig (added)" in plan.summary
    assert ("reboot" in plan.summary) is needs_reboot


def test_a_reboot_must_be_allowed() -> None:
    plan = plan_running(CHANGES, needs_reboot=True)
    check_reboot(plan, allowed=True, address="w1")
    with pytest.raises(RefusedError, match=r"machine\.sysctls\.a") as error:
        check_reboot(plan, allowed=False, address="w1")
    assert error.value.details == {"reboot_required": True}
    check_reboot(plan_running(CHANGES, needs_reboot=False), allowed=False, address="w1")
    check_reboot(Plan("install"), allowed=False, address="w1")


def test_a_trial_is_not_disturbed() -> None:
    pending = compare(RUNNING, DESIRED)
    with pytest.raises(RefusedError, match="tried out"):
        refuse_pending(RunningConfig(DESIRED, RUNNING), pending, "192.0.2.11")
    refuse_pending(RunningConfig(DESIRED, None), [], "192.0.2.11")
    refuse_pending(RunningConfig(DESIRED, DESIRED), [], "192.0.2.11")


def test_a_foreign_machine_is_refused_with_a_way_out() -> None:
    error = refuse_foreign("192.0.2.11", "it wants a client certificate")
    assert "does not belong to this cluster" in str(error)
    assert "reset" in error.hint


def test_a_postponed_reboot_changes_nothing_and_says_so() -> None:
    plan = Plan("postponed", CHANGES)
    assert not plan.changed
    assert plan.reboot_required
    assert "waits for its turn" in plan.summary
