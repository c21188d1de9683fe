# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines against the inventory, from what talos_apply predicts in check mode. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import MAIN
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift

_SHOWN = 6


def judge(machines: Iterable[Mapping[str, Any]]) -> list[Drift]:
    """A finding for each machine that is not as the inventory has it, or was not compared. Each has ``name`` and ``result``, that of talos_apply."""
    return [finding for machine in machines if (finding := _judge(str(machine["name"]), machine.get("result") or {}))]


def compared(machines: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many of them were."""
    number, total = sum("step" in (machine.get("result") or {}) for machine in machines), len(machines)
    return [f"{number} machines" if number == total else f"{number} of {total} machines"] if machines else []


def _judge(name: str, result: Mapping[str, Any]) -> Drift | None:
    step = result.get("step")
    if step == "none":
        return None
    if step == "install":
        return Drift("machine", name, "It is in maintenance mode and has no configuration", "Run playbooks/cluster.yml")
    if step is None:
        said = result.get("msg") or "nothing was asked of it in this run"
        return Drift("machine", name, f"Its configuration was not compared: {said}", "Look at the machine, and run playbooks/verify.yml again")
    differences = list(_differences(result.get("documents") or []))
    more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    problem = f"Its configuration differs from the inventory: {', '.join(differences[:_SHOWN])}{more}"
    if result.get("reboot_required"):
        advice = "Run playbooks/cluster.yml with -e trinode_allow_reboot=true, since it takes a reboot; or take the change into the inventory"
        return Drift("machine", name, problem, advice)
    return Drift("machine", name, problem, "Run playbooks/cluster.yml, or take the change into the inventory")


def _differences(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The fields, without their values."""
    for document in documents:
        label, action = str(document["document"]), document["action"]
        if action == "added":
            yield f"{label} is missing"
        elif action == "removed":
            yield f"{label} is not in the inventory"
        elif document.get("paths"):
            yield from (path if label == MAIN.label else f"{label} {path}" for path in document["paths"])
        else:
            yield label
