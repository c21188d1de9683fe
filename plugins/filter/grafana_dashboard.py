# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana dashboards from a few lines of data: what a panel asks and in which unit, instead of hundreds of lines of exported JSON."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grafana_dashboard
short_description: A Grafana dashboard from a short description
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes the description of a dashboard and returns its JSON, as Grafana's provisioning reads it. The same description gives the same bytes.
  - Panels are laid out from left to right and top to bottom in the order given, six small ones or three charts a row.
options:
  _input:
    description:
      - C(title) and C(uid) of the dashboard, C(panels), and optionally C(tags) and C(variables).
      - "A panel has a C(title), C(queries) (each with C(expr) and optionally C(legend)), C(kind) (V(timeseries), V(stat) or V(table); by default
        V(timeseries)), and optionally C(unit) (Grafana's name of it), C(min), C(max), C(thresholds) (a mapping of colours to the value they begin at)
        and C(mappings) (a mapping of values to the text that is shown instead)."
      - "A variable has a C(name) and a C(query), such as C(label_values(up, instance)); several values can be chosen, and at first all are."
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a dashboard
  ansible.builtin.debug:
    msg: "{{ description | trinode.platform.grafana_dashboard }}"
  vars:
    description:
      title: Nodes
      uid: nodes
      panels:
        - {title: Ready, kind: stat, queries: [{expr: 'sum(kube_node_status_condition{condition="Ready",status="true"})'}]}
"""

RETURN = r"""
_value:
  description: The dashboard as JSON.
  type: str
  sample: '{"title": "Nodes", "uid": "nodes", "panels": []}'
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

_ROW = 24  # Grafana's grid is this wide
_SIZES = {"stat": (4, 4), "timeseries": (8, 8), "table": (24, 8)}  # kind of panel -> width and height in the grid
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_PANEL_KEYS = {"title", "kind", "queries", "unit", "min", "max", "thresholds", "mappings"}


def grafana_dashboard(description: Mapping[str, Any]) -> str:
    """The dashboard of ``description`` as JSON text."""
    for key in ("title", "uid", "panels"):
        if not description.get(key):
            raise AnsibleFilterError(f"grafana_dashboard: the dashboard {description.get('title', '')!r} has no {key}: give it one")
    model = {
        "uid": description["uid"],
        "title": description["title"],
        "tags": list(description.get("tags", [])),
        "schemaVersion": 39,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_data_source(), *(_variable(variable) for variable in description.get("variables", []))]},
        "panels": _laid_out([_panel(panel, description["title"]) for panel in description["panels"]]),
    }
    return json.dumps(model, indent=2, sort_keys=True)


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0}


def _variable(variable: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": variable["name"],
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": variable["query"], "refId": variable["name"]},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def _panel(panel: Mapping[str, Any], dashboard: str) -> dict[str, Any]:
    unknown = sorted(set(panel) - _PANEL_KEYS)
    kind = panel.get("kind", "timeseries")
    where = f"panel {panel.get('title', '')!r} of the dashboard {dashboard!r}"
    if unknown:
        raise AnsibleFilterError(f"grafana_dashboard: {where} has {', '.join(unknown)}, which nothing reads: it may have {', '.join(sorted(_PANEL_KEYS))}")
    if kind not in _SIZES:
        raise AnsibleFilterError(f"grafana_dashboard: {where} is of kind {kind!r}: use one of {', '.join(_SIZES)}")
    if not panel.get("title") or not panel.get("queries"):
        raise AnsibleFilterError(f"grafana_dashboard: {where} has no title or no queries: give it both")
    return {
        "title": panel["title"],
        "type": kind,
        "datasource": _SOURCE,
        "targets": [_target(query, index, kind) for index, query in enumerate(panel["queries"])],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(kind),
    }


def _target(query: Mapping[str, Any], index: int, kind: str) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": chr(ord("A") + index),
        "datasource": _SOURCE,
        "expr": " ".join(str(query["expr"]).split()),
        "legendFormat": query.get("legend", "__auto"),
    }
    if kind != "timeseries":
        target["instant"] = True
    if kind == "table":
        target["format"] = "table"
    return target


def _field(panel: Mapping[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.get("unit", "short")}
    field.update({bound: panel[bound] for bound in ("min", "max") if bound in panel})
    if "thresholds" in panel:
        steps = [{"color": colour, "value": value} for colour, value in panel["thresholds"].items()]
        field["thresholds"] = {"mode": "absolute", "steps": sorted(steps, key=lambda step: (step["value"] is not None, step["value"] or 0))}
    if "mappings" in panel:
        options = {str(value): {"text": text, "index": index} for index, (value, text) in enumerate(panel["mappings"].items())}
        field["mappings"] = [{"type": "value", "options": options}]
    return field


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {"colorMode": "background", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}}
    if kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {}


def _laid_out(panels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``panels`` with their places; a row is as high as its highest panel."""
    left = top = height = 0
    for number, panel in enumerate(panels, start=1):
        wide, high = _SIZES[panel["type"]]
        if left + wide > _ROW or (high != height and left):
            left, top, height = 0, top + height, 0
        panel.update(id=number, gridPos={"x": left, "y": top, "w": wide, "h": high})
        left, height = left + wide, max(height, high)
    return list(panels)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"grafana_dashboard": grafana_dashboard}
