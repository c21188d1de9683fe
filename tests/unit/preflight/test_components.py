# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.preflight.components import check_components
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Component, Host, Inventory


def component(name: str, *needs: str, uses: tuple[str, ...] = (), role: bool = True) -> Component:
    return Component(name, {}, role=role, needs=needs, uses=uses)


@pytest.mark.parametrize(
    ("components", "forks", "expected"),
    [
        ((), 5, []),
        ((component("cilium"), component("loki", "cilium", uses=("rook_ceph",))), 5, []),
        ((component("cilum", role=False),), 5, ["cilum: there is no component 'cilum'. docs/components lists them."]),
        (
            (component("cilium"), component("loki", "cilum")),
            5,
            ["loki: loki_needs: it needs cilum, which is not in the inventory. Did you mean cilium?"],
        ),
        (
            (component("kiali", "istio"),),
            5,
            ["kiali: kiali_needs: it needs istio, which is not in the inventory. Add istio to the group components, or take kiali out."],
        ),
        (
            (component("a", "b"), component("b", uses=("a",))),
            5,
            ["a: a_needs: components wait for each other: a needs b needs a. Take one of them out of the other's needs or uses."],
        ),
        (
            (component("a"), component("b"), component("c")),
            2,
            ["all: Ansible works on 2 hosts at once, and 3 components may wait for each other. Set forks in ansible.cfg, or run with --forks 3."],
        ),
        ((component("a"), component("b")), 0, []),
    ],
)
def test_components(components: tuple[Component, ...], forks: int, expected: list[str]) -> None:
    found = list(check_components(Inventory(Host("all", {}), components=components, forks=forks)))
    assert [str(finding) for finding in found] == expected
