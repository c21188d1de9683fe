# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes when each task began and ended into the file that TRINODE_BENCH_DURATIONS names, one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: durations
type: aggregate
short_description: Beginning and end of each task
description: For the bench of this collection.
"""


class CallbackModule(CallbackBase):
    """One host at a time."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "durations"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._started = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write(result)

    def _write(self, result: Any) -> None:
        row = {"task": result._task.get_name(), "began": self._started, "ended": time.time(), "changed": result._result.get("changed", False)}
        with open(os.environ["TRINODE_BENCH_DURATIONS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
