# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one boundary between Ansible and our code: parameters in, outcome out, exceptions turned into a failed task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError


@dataclass(frozen=True)
class Task:
    """What a module is asked to do. ``warn`` shows a warning to the user at the end of the task."""

    params: Mapping[str, Any]
    check_mode: bool
    diff_mode: bool
    warn: Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a module did, or in check mode would do.

    ``diff`` is one of Ansible's diff dictionaries or a list of them (``before``, ``after``, ``before_header``, ``after_header``), shown only in
    diff mode; it must be redacted already. ``values`` become the task's further return values.
    """

    changed: bool = False
    message: str = ""
    diff: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def run_module(
    run: Callable[[Task], Outcome],
    *,
    argument_spec: Mapping[str, Any],
    hide: Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
    show: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    **rules: Any,
) -> None:
    """The body of every module's main(): validate, run, report. ``rules`` are AnsibleModule's (required_if, mutually_exclusive, ...).

    ``hide`` finds secrets inside parameters that as a whole are none; Ansible then treats them like ``no_log`` values, and logs no parameters.
    ``show`` gives the parameters as they may be printed, where what is secret in them is too much to be found again in every result.
    """
    module = AnsibleModule(argument_spec=dict(argument_spec), supports_check_mode=True, no_log=hide is not None, **rules)
    if hide is not None:
        module.no_log_values.update(hide(module.params))
    # What ansible-core prints of a call with -vvv; newer ones drop it elsewhere.
    invocation = {"invocation": {"module_args": show(module.params)}} if show else {}
    task = Task(params=module.params, check_mode=module.check_mode, diff_mode=module._diff, warn=module.warn)
    try:
        outcome = run(task)
    except PlatformError as error:
        module.fail_json(msg=str(error), **error.details, **invocation)
    result: dict[str, Any] = {**outcome.values, **invocation, "changed": outcome.changed}
    if outcome.message:
        result["msg"] = outcome.message
    if outcome.diff and task.diff_mode:
        result["diff"] = outcome.diff
    module.exit_json(**result)
