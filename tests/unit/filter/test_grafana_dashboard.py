# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.trinode.platform.plugins.filter.grafana_dashboard import FilterModule

FILES = Path(__file__).resolve().parents[3] / "roles" / "prometheus" / "files"
to_json = FilterModule().filters()["grafana_dashboard"]


def dashboard(*panels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return json.loads(to_json({"title": "Nodes", "uid": "nodes", "panels": list(panels), **more}))


def panel(kind: str = "timeseries", **more: Any) -> dict[str, Any]:
    return {"title": "Up", "kind": kind, "queries": [{"expr": "up"}], **more}


def test_panels_fill_rows_from_left_to_right() -> None:
    made = dashboard(*[panel("stat")] * 7, panel(), panel(), panel("table"), panel())
    places = [tuple(item["gridPos"][key] for key in "xywh") for item in made["panels"]]
    assert places == [
        *[(left, 0, 4, 4) for left in range(0, 24, 4)],
        (0, 4, 4, 4),
        (0, 8, 8, 8),
        (8, 8, 8, 8),
        (0, 16, 24, 8),
        (0, 24, 8, 8),
    ]
    assert [item["id"] for item in made["panels"]] == list(range(1, 12))


def test_a_panel_has_its_queries_unit_thresholds_and_mappings() -> None:
    queries = [{"expr": "sum(\n  up\n)", "legend": "{{job}}"}, {"expr": "down"}]
    [made] = dashboard(
        panel("stat", queries=queries, unit="percentunit", min=0, max=1, thresholds={"red": 3, "green": None, "orange": 1}, mappings={0: "OK", 1: "bad"})
    )["panels"]
    assert [(item["refId"], item["expr"], item["legendFormat"], item["instant"]) for item in made["targets"]] == [
        ("A", "sum( up )", "{{job}}", True),
        ("B", "down", "__auto", True),
    ]
    field = made["fieldConfig"]["defaults"]
    assert (field["unit"], field["min"], field["max"]) == ("percentunit", 0, 1)
    assert field["thresholds"]["steps"] == [{"color": "green", "value": None}, {"color": "orange", "value": 1}, {"color": "red", "value": 3}]
    assert field["mappings"] == [{"type": "value", "options": {"0": {"text": "OK", "index": 0}, "1": {"text": "bad", "index": 1}}}]


def test_variables_offer_all_values_first() -> None:
    source, variable = dashboard(panel(), variables=[{"name": "instance", "query": "label_values(up, instance)"}])["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert (variable["name"], variable["query"]["query"], variable["includeAll"]) == ("instance", "label_values(up, instance)", True)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"title": "Nodes", "panels": [panel()]}, "the dashboard 'Nodes' has no uid"),
        ({"title": "Nodes", "uid": "nodes"}, "has no panels"),
        (
            {"title": "Nodes", "uid": "nodes", "panels": [panel("pie")]},
            "panel 'Up' of the dashboard 'Nodes' is of kind 'pie': use one of stat, timeseries, table",
        ),
        ({"title": "Nodes", "uid": "nodes", "panels": [panel(units="s")]}, "has units, which nothing reads"),
        ({"title": "Nodes", "uid": "nodes", "panels": [{"title": "Up"}]}, "has no title or no queries"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(description: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        to_json(description)


def test_every_dashboard_of_the_platform_can_be_made() -> None:
    descriptions = [yaml.safe_load(path.read_text()) for path in sorted((FILES / "dashboards").glob("*.yml"))]
    assert len({description["uid"] for description in descriptions}) == len(descriptions) > 0
    for description in descriptions:
        assert len(json.loads(to_json(description))["panels"]) == len(description["panels"])


def test_every_alert_of_the_platform_says_how_bad_and_what() -> None:
    names = []
    for path in sorted((FILES / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                names.append(rule["alert"])
                assert rule["labels"]["severity"] in {"info", "warning", "critical"}, rule["alert"]
                assert rule["annotations"]["summary"], rule["alert"]
    assert len(set(names)) == len(names) > 0
