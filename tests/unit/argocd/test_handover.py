# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be handed over, and what it looks like when Argo CD would change something."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd import adoption, handover
from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import application_of
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, application, without_automation
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key

WANTED = application(application_of("cert_manager", "cert-manager"), Repository("https://git.example.com/p.git", "main"))


def _elsewhere() -> dict[str, Any]:
    item = copy.deepcopy(WANTED)
    item["spec"]["source"]["repoURL"] = "https://old.example.com/p.git"
    return item


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ({}, "hand over"),
        ({"cert-manager": without_automation(WANTED)}, "hand over"),
        ({"cert-manager": WANTED}, "nothing"),
        ({"cert-manager": _elsewhere()}, "move"),
        ({"other": WANTED}, "hand over"),
    ],
)
def test_plan(live: dict[str, Any], expected: str) -> None:
    assert handover.plan([WANTED], live) == {"cert-manager": expected}


@pytest.mark.parametrize(
    ("status", "annotations", "expected"),
    [
        ({}, {}, "progressing"),
        ({"sync": {"status": "Synced"}}, {}, "ready"),
        ({"sync": {"status": "OutOfSync"}}, {}, "ready"),
        ({"sync": {"status": "Unknown"}}, {}, "progressing"),
        ({"sync": {"status": "Synced"}}, {"argocd.argoproj.io/refresh": "normal"}, "progressing"),
        ({"sync": {"status": "Synced"}, "operationState": {"phase": "Running"}}, {}, "progressing"),
        ({"sync": {"status": "Unknown"}, "conditions": [{"type": "ComparisonError", "message": "x"}]}, {}, "progressing"),
    ],
)
def test_compared(status: dict[str, Any], annotations: dict[str, str], expected: str) -> None:
    assert handover.compared({"metadata": {"annotations": annotations}, "status": status}).state == expected


@pytest.mark.parametrize(("name", "expected"), [("cert-manager", "progressing"), ("platform", "ready")])
def test_a_component_that_is_not_well_holds_up_itself_alone(name: str, expected: str) -> None:
    item = {"metadata": {"name": name}, "status": {"sync": {"status": "Synced"}, "health": {"status": "Progressing"}}}
    assert handover.arrived(item, "platform").state == expected
    assert handover.arrived({**item, "status": {"sync": {"status": "OutOfSync"}}}, "platform").state != "ready"
    assert handover.arrived(None, "platform").state == "progressing"


@pytest.mark.parametrize(("name", "expected"), [("cert-manager", "ready"), ("platform", "progressing")])
def test_the_root_is_to_be_at_the_newest_commit(name: str, expected: str) -> None:
    status = {"sync": {"status": "Synced", "revision": "a" * 40}, "health": {"status": "Healthy"}}
    item = {"metadata": {"name": name}, "status": status}
    assert handover.arrived(item, "platform", lambda revision: revision == "b" * 40).state == expected


def test_the_component_of_an_application() -> None:
    assert adoption.component_of(WANTED) == "cert_manager"
    assert adoption.component_of({"metadata": {"name": "cert-manager"}}) == "cert_manager"


def test_differences_are_shown_and_cut() -> None:
    before = "\n".join(f"line{number}: a" for number in range(60))
    text = adoption.unified(before, before.replace("a", "b"))
    assert text.splitlines()[0] == "--- in the cluster"
    assert text.splitlines()[-1].startswith("... ")
    assert adoption.unified("a", "a") == ""


def test_the_refusal_has_them_all() -> None:
    found = [adoption.Difference("one", Key("v1", "ConfigMap", "n", f"c{number}"), "-  a: 1\n+  a: 2") for number in range(7)]
    error = adoption.refusal(found, "https://192.0.2.1:6443")
    assert "ConfigMap n/c0" in str(error)
    assert "and 2 more" in str(error)
    assert len(error.details["differences"]) == 7
