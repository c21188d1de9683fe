# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alloy's configuration, alerts and dashboards, read by the parsers of the programs that will read them (monitoring_syntax/main.go)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]

SOURCE = Path(__file__).parent / "monitoring_syntax"
ROLES = Path(__file__).resolve().parents[2] / "roles"
PROMETHEUS = ROLES / "prometheus" / "files"
ALLOY = ROLES / "alloy"


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("go"):
        pytest.skip("no go")
    program = tmp_path_factory.mktemp("program") / "monitoring_syntax"
    command = ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", str(program), "."]
    built = subprocess.run(command, cwd=SOURCE, env={**os.environ, "GOFLAGS": ""}, capture_output=True, text=True, timeout=600, check=False)
    assert built.returncode == 0, built.stderr
    return program


def complaints(checker: Path, *files: Path) -> str:
    return subprocess.run([str(checker), *map(str, files)], capture_output=True, text=True, timeout=300, check=False).stdout


def test_alerts_and_queries_of_dashboards_can_be_read(checker: Path) -> None:
    files = sorted(PROMETHEUS.glob("*/*.yml"))
    assert {path.parent.name for path in files} == {"dashboards", "rules"}
    assert complaints(checker, *files) == ""


@pytest.mark.parametrize(
    ("settings", "sources"),
    [
        ({}, {"pods", "talos", "events"}),
        ({"alloy_excluded_namespaces": ["kube-system", "noisy"]}, {"pods", "talos", "events"}),
        ({"alloy_pod_logs": False}, {"talos", "events"}),
        ({"alloy_talos_logs": False, "alloy_events": False}, {"pods"}),
    ],
)
def test_alloy_can_read_its_configuration(checker: Path, tmp_path: Path, settings: dict[str, Any], sources: set[str]) -> None:
    # As ansible.builtin.template does; it escapes nothing, since this is no HTML.
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    environment.filters["bool"] = bool
    defaults = yaml.safe_load((ALLOY / "defaults" / "main.yml").read_text())
    template = environment.from_string((ALLOY / "templates" / "config.alloy.j2").read_text())
    text = template.render({"trinode_cluster_name": "trial", **defaults, **settings})
    path = tmp_path / "config.alloy"
    path.write_text(text)
    assert complaints(checker, path) == ""
    assert {source for source in ("pods", "talos", "events") if f'source = "{source}"' in text} == sources
    assert all(namespace in text for namespace in settings.get("alloy_excluded_namespaces", []))


def test_mistakes_are_found(checker: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    alert = {"rules/a.yml": "groups: [{name: a, rules: [{alert: A, expr: up ==, annotations: {summary: x}}]}]"}
    template = {"rules/b.yml": "groups: [{name: b, rules: [{alert: B, expr: up, annotations: {summary: '{{ $nothing }}'}}]}]"}
    panel = {"c.yml": "panels: [{title: C, queries: [{expr: rate(up[5m)}]}]"}
    alloy = {"d.alloy": 'loki.write "default" {'}
    for name, content in (alert | template | panel | alloy).items():
        (tmp_path / name).write_text(content)
        assert name in complaints(checker, tmp_path / name), name
