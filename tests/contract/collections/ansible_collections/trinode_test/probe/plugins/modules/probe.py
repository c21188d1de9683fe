#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that does everything a module may do. It shows that running inside the worker makes no difference."""

from __future__ import annotations

import os
import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

ARGUMENTS = {
    "do": {"type": "str", "required": True, "aliases": ["action"]},
    "number": {"type": "int", "default": 7},
    "choice": {"type": "str", "choices": ["red", "green"]},
    "password": {"type": "str", "no_log": True},
    "old": {"type": "str", "removed_in_version": "9.0.0", "removed_from_collection": "trinode_test.probe"},
    "first": {"type": "str"},
    "second": {"type": "str"},
    "nested": {"type": "list", "elements": "dict", "options": {"key": {"type": "str", "no_log": True}, "size": {"type": "int", "default": 1}}},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        mutually_exclusive=[("first", "second")],
        required_if=[("do", "needs_choice", ["choice"])],
    )
    DEEDS[module.params["do"]](module)


def report(module: AnsibleModule) -> None:
    module.exit_json(changed=True, check_mode=module.check_mode, diff_mode=module._diff, parameters=module.params)


def needs_choice(module: AnsibleModule) -> None:
    module.exit_json()


def surroundings(module: AnsibleModule) -> None:
    seen = {"directory": os.getcwd(), "variable": os.environ.get("TRINODE_PROBE", ""), "leaked": os.environ.get("TRINODE_PROBE_LEAK", "")}
    os.environ["TRINODE_PROBE_LEAK"] = "leaked"
    os.chdir("/")
    module.exit_json(**seen)


def show_diff(module: AnsibleModule) -> None:
    module.exit_json(changed=True, diff={"before": "a\n", "after": "b\n"})


def facts(module: AnsibleModule) -> None:
    module.exit_json(ansible_facts={"probe_fact": 1})


def warn(module: AnsibleModule) -> None:
    module.warn("be careful")
    module.warn("be careful")
    module.deprecate("do not", version="9.0.0", collection_name="trinode_test.probe")
    module.exit_json()


def leak(module: AnsibleModule) -> None:
    module.exit_json(msg=f"the password is {module.params['password']}", inside=[{"deep": module.params["password"]}])


def leak_in_failure(module: AnsibleModule) -> None:
    module.fail_json(msg=f"bad password {module.params['password']}")


def leak_in_warning(module: AnsibleModule) -> None:
    module.warn(f"odd password {module.params['password']}")
    module.exit_json()


def fail(module: AnsibleModule) -> None:
    module.fail_json(msg="it failed", code=3, changed=False)


def fail_with_cause(module: AnsibleModule) -> None:
    try:
        raise ValueError("the cause")
    except ValueError as error:
        module.fail_json(msg="it failed", exception=error)


def crash(module: AnsibleModule) -> None:
    raise KeyError("unexpected")


def leave_without_result(module: AnsibleModule) -> None:
    sys.exit(3)


def forget_to_exit(module: AnsibleModule) -> None:
    return


def chatter(module: AnsibleModule) -> None:
    sys.stderr.write("to stderr\n")
    module.exit_json(values=[1, 2.5, None, True, "ü"])


def temporary(module: AnsibleModule) -> None:
    with open(os.path.join(module.tmpdir, "file"), "w", encoding="utf-8") as file:
        file.write("x")
    module.exit_json(path=module.tmpdir, there=os.path.exists(module.tmpdir))


def where(module: AnsibleModule) -> None:
    module.exit_json(in_worker="ansible.executor.task_executor" in sys.modules)


def talk(module: AnsibleModule) -> None:
    progress("waiting for etcd: 1 of 3 voters")
    module.exit_json()


def hang(module: AnsibleModule) -> None:
    command.run(["sleep", str(module.params["number"])], deadline=Deadline(600))
    module.exit_json()


DEEDS = {
    deed.__name__: deed
    for deed in (
        report, needs_choice, surroundings, show_diff, facts, warn, leak, leak_in_failure, leak_in_warning, fail, fail_with_cause, crash,
        leave_without_result, forget_to_exit, chatter, temporary, where, talk, hang,
    )
}  # fmt: skip

if __name__ == "__main__":
    main()
