#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: component_plan
short_description: Plan which components are upgraded one after another
version_added: 1.0.0
description:
  - Compares what was rendered (M(trinode.platform.component_render)) with what the cluster notes of each component, and says which of them need an upgrade,
    and in which order - each after those that it needs or uses. A component differs when its version does, or anything else in its objects.
  - One whose upgrade was interrupted comes first, with what it stands on. Components that are not installed are no upgrade, and are left out.
  - Everything that is in the way is said at once, and the task fails. A version that goes back, a minor release that is skipped where the program does not
    allow that (Cilium, Rook, Istio, cert-manager), and a component that is needed and not installed.
author:
  - trinode.platform contributors (@trinode)
options:
  components:
    description: Results of M(trinode.platform.component_render). Of each, C(definition), C(revision) and C(versions) are used.
    type: list
    elements: dict
    required: true
  downgrade:
    description: Names of components that may go back to an older version.
    type: list
    elements: str
    default: []
  report:
    description: Only tell how everything is. Nothing in the way fails the task.
    type: bool
    default: false
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_kubernetes
seealso:
  - module: trinode.platform.component_render
  - module: trinode.platform.component_deliver
  - module: trinode.platform.gate
"""

EXAMPLES = r"""
- name: Which components would be upgraded, and in which order
  trinode.platform.component_plan:
    components: "{{ groups['components'] | map('extract', hostvars, 'component_rendered') }}"
    kubeconfig: "{{ trinode_kubeconfig }}"
"""

RETURN = r"""
work:
  description: Names of the components to upgrade, in order.
  type: list
  elements: str
  returned: success
  sample: [cert_manager, istio]
reasons:
  description: What becomes of each component of RV(work).
  type: dict
  returned: success
  sample: {"cert_manager": "cert-manager v1.21.0 → v1.21.1"}
half_done:
  description: Names of the components whose upgrade did not come to its end.
  type: list
  elements: str
  returned: success
  sample: []
installed:
  description: Names of those of O(components) that the cluster has.
  type: list
  elements: str
  returned: success
  sample: [cilium, cert_manager, istio]
findings:
  description: What is in the way.
  type: list
  elements: str
  returned: success, or when something is in the way
  sample: []
table:
  description: The plan, as lines of text.
  type: list
  elements: str
  returned: success, or when something is in the way
  sample:
    - STEP  COMPONENT     INSTALLED  ASKED    WHAT
    - 1     cert_manager  v1.21.0    v1.21.1  cert-manager v1.21.0 → v1.21.1
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import upgrade_plan
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import installed_components
from ansible_collections.trinode.platform.plugins.module_utils.component.upgrade_plan import Wanted
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "components": {"type": "list", "elements": "dict", "required": True},
    "downgrade": {"type": "list", "elements": "str", "default": []},
    "report": {"type": "bool", "default": False},
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
}


def run(task: Task) -> Outcome:
    """Read, plan, tell."""
    params = task.params
    wanted = [_wanted(item) for item in params["components"]]
    installed = installed_components(params["kubeconfig"], params["context"], Deadline(params["timeout"]), lenient=False) or {}
    made = upgrade_plan.plan(wanted, installed, params["downgrade"])
    table = upgrade_plan.table(wanted, installed, made)
    findings = [str(finding) for finding in made.objections]
    if findings and not params["report"]:
        raise RefusedError(
            "nothing was begun, since this is in the way:\n  " + "\n  ".join(findings) + "\n" + "\n".join(table),
            details={"findings": findings, "table": table},
        )
    values = {
        "work": list(made.work),
        "reasons": dict(made.reasons),
        "half_done": list(made.half_done),
        "installed": list(made.installed),
        "findings": findings,
        "table": table,
    }
    message = f"{len(made.work)} of {len(wanted)} components, one after another: {', '.join(made.work)}" if made.work else "nothing is to be upgraded"
    return Outcome(message=message, values=values)


def _wanted(item: Mapping[str, Any]) -> Wanted:
    try:
        definition = item["definition"]
        needs, uses = (tuple(definition.get(key) or ()) for key in ("needs", "uses"))
        return Wanted(str(definition["name"]), str(item["revision"]), dict(item["versions"]), needs, uses)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError("it is no result of component_render", where="components", hint="Register what that module returns, and give it as it is.") from error


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
