# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Components whose objects are nobody's but ours: the rendered files against the cluster, as the server itself predicts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.trinode.platform.plugins.module_utils.component.installed import Installed
from ansible_collections.trinode.platform.plugins.module_utils.kube.diff import essence
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied
from ansible_collections.trinode.platform.plugins.module_utils.talos.config_diff import differing_paths
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift

ARGO_CD = "argo_cd"
_OBJECTS = 5
_FIELDS = 4


def present(wanted: Iterable[str], there: Mapping[str, Installed]) -> list[Drift]:
    """Components that are in the inventory or in the cluster, and not in both."""
    names = list(wanted)
    missing = [Drift("cluster", name, "It is in the inventory, and not installed", run(name)) for name in names if name not in there]
    advice = "Add it to the group components, or uninstall it with -e component_state=absent"
    return missing + [Drift("cluster", name, "It is installed, and not in the inventory", advice) for name in sorted(there) if name not in names]


def judge(name: str, changes: Iterable[Applied], *, delivered: bool) -> list[Drift]:
    """What a delivery would change, which changed nothing where the cluster is as it was left.

    ``delivered``: the files are those that were delivered last; otherwise that they are not is all there is to say.
    """
    found = list(changes)
    if not delivered:
        return [Drift("cluster", name, f"It was rendered anew and not delivered, which would change {_number(len(found), 'object')}", run(name))]
    shown = [Drift("cluster", name, f"{item.key} {_what(item)}", run(name)) for item in found[:_OBJECTS]]
    more = len(found) - len(shown)
    return [*shown, Drift("cluster", name, f"{_number(more, 'further object')} differ", run(name))] if more else shown


def unreadable(name: str, why: str) -> Drift:
    return Drift("cluster", name, f"Its objects were not compared: {why}", "Put that right, and run playbooks/verify.yml again")


def run(name: str) -> str:
    """What brings a component back."""
    return f"Run playbooks/platform.yml --limit {name}"


def _what(item: Applied) -> str:
    if item.action == "created":
        return "is gone"
    if item.action == "pruned":
        return "is there, and not part of it"
    fields = list(dict.fromkeys(_fields(item)))
    more = f" and {len(fields) - _FIELDS} more" if len(fields) > _FIELDS else ""
    return f"differs in {', '.join(fields[:_FIELDS])}{more}" if fields else "differs"


def _fields(item: Applied) -> Iterator[str]:
    """The fields that differ, without their values."""
    return differing_paths(essence(item.before), essence(item.after))


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
