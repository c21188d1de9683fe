# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook says may be given to it is no unknown setting to the preflight that it begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.preflight.settings import PREFIXES, SETTINGS

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = [path for path in sorted(ROOT.glob("playbooks/*.yml")) if "import_playbook: preflight.yml" in path.read_text()]


def declared() -> set[str]:
    found = set(SETTINGS)
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry_point in yaml.safe_load(path.read_text())["argument_specs"].values():
            found |= set(entry_point.get("options", {}))
    return found


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.name)
def test_what_is_given_with_e_is_declared(path: Path) -> None:
    given = {name for line in path.read_text().splitlines() if line.startswith("#") for name in re.findall(r"-e '?\{?\"?(\w+)", line)}
    assert {name for name in given if name.startswith(PREFIXES)} <= declared()
