# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cilium role: its argument specs equal its defaults, and its values are ones that the real chart knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "cilium"
UPSTREAM = Path(os.environ.get("TRINODE_UPSTREAM", ROOT.parent / "shared" / "upstream"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_argument_specs_are_equal_to_the_defaults() -> None:
    options = load(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == load(ROLE / "defaults" / "main.yml")


def paths(values: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_value_exists_in_the_real_chart() -> None:
    real = UPSTREAM / "values" / "cilium" / "values.yaml"
    if not real.exists():
        pytest.skip(f"the real charts' data is not here: {UPSTREAM}")
    known = set(paths(load(real)))
    # Documented in the chart's values.yaml, as a comment.
    known |= {"socketLB.hostNamespaceOnly"}
    ours = set(paths(load(ROLE / "vars" / "main.yml")["cilium_platform_values"]))
    assert ours - known == set()
