# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.trinode.platform.plugins.module_utils.component.journey import critical_path, journeys
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import Record


def component(name: str, begun: float, ended: float, *needs: str, state: str = "ready") -> list[Record]:
    return [
        Record(name, "rendering", begun),
        Record(name, "waiting", begun + 1, ", ".join(needs), {"needs": list(needs)}),
        Record(name, state, ended, "", {"versions": {name: "1"}, "routes": []}),
    ]


RUN = [*component("crds", 0, 5), *component("cilium", 0, 30, "crds"), *component("cert", 0, 50, "cilium"), *component("loki", 0, 45, "cilium", "crds")]


def test_own_time_is_without_waiting() -> None:
    found = journeys(RUN)
    assert list(found) == ["crds", "cilium", "loki", "cert"]
    assert {name: journey.own_seconds for name, journey in found.items()} == {"crds": 5, "cilium": 25, "loki": 15, "cert": 20}


def test_the_critical_path_goes_back_through_the_latest_need() -> None:
    assert [journey.component for journey in critical_path(journeys(RUN))] == ["crds", "cilium", "cert"]


def test_a_failure_ends_a_path_and_what_never_ended_has_none() -> None:
    records = [*component("crds", 0, 5), *component("cilium", 0, 9, "crds", state="failed"), Record("loki", "rendering", 20)]
    found = journeys(records)
    assert found["loki"].state == "rendering"
    assert [(journey.component, journey.state) for journey in critical_path(found)] == [("crds", "ready"), ("cilium", "failed")]


def test_nothing_ran() -> None:
    assert critical_path(journeys([])) == []


def test_what_failed_before_it_was_free_took_no_time_of_its_own() -> None:
    records = [*component("slow", 0, 60), *component("blocked", 0, 10, "slow", state="blocked")]
    assert journeys(records)["blocked"].own_seconds == 0
