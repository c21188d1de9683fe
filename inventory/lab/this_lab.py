#!/usr/bin/env python3
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lab this is, as variables of the inventory. Found out once: templates that look at the environment would be worked out anew in every task."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

name = os.environ.get("TRINODE_LAB_NAME") or "lab"
network = os.environ.get("TRINODE_LAB_NETWORK") or "10.5.0.0/24"
home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
state = Path(os.environ.get("TRINODE_LAB_STATE") or home / "trinode-lab" / name)
facts = state / "lab.json"
lab = {
    "lab_name": name,
    "lab_prefix": network.removesuffix(".0/24"),
    "lab_state": str(state),
    # `lab up --powered-off`, as make demo does it.
    "lab_powered_off": facts.exists() and bool(json.loads(facts.read_text()).get("powered_off")),
}
json.dump({"all": {"vars": lab}, "_meta": {"hostvars": {}}}, sys.stdout)
