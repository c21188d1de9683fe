# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of upgrades, by tables: which components, in which order, and what is in the way."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component import installed as components
from ansible_collections.trinode.platform.plugins.module_utils.component import upgrade_plan
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import Installed
from ansible_collections.trinode.platform.plugins.module_utils.component.upgrade_plan import Wanted, plan
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError

OLD, NEW = "1.0.0", "1.1.0"


def wanted(name: str, version: str = NEW, *, revision: str = "", needs: tuple[str, ...] = (), uses: tuple[str, ...] = ()) -> Wanted:
    """A component of one chart. Its revision follows from the version, unless its values are others."""
    return Wanted(name, revision or version, {f"{name}-chart": version}, needs, uses)


def there(*found: str | Installed) -> dict[str, Installed]:
    """What the cluster notes; a name alone is of the old version."""
    items = [item if isinstance(item, Installed) else noted(item) for item in found]
    return {item.name: item for item in items}


def noted(name: str, version: str = OLD, *, needs: tuple[str, ...] = (), begun: str = "") -> Installed:
    return Installed(name, version, needs, versions={f"{name}-chart": version}, begun=begun)


ORDERS: dict[str, tuple[list[Wanted], dict[str, Installed], list[str]]] = {
    "nothing to do": ([wanted("a", OLD), wanted("b", OLD, needs=("a",))], there("a", "b"), []),
    "the needed one first": ([wanted("a", needs=("b",)), wanted("b")], there("a", "b"), ["b", "a"]),
    "what is used, too": ([wanted("a", uses=("b",)), wanted("b")], there("a", "b"), ["b", "a"]),
    "through one that needs no work": ([wanted("a", needs=("b",)), wanted("b", OLD, needs=("c",)), wanted("c")], there("a", "b", "c"), ["c", "a"]),
    "through one that is not among them": ([wanted("a", needs=("b",)), wanted("c")], there("a", noted("b", needs=("c",)), "c"), ["c", "a"]),
    "a chain": ([wanted("a", needs=("b",)), wanted("b", needs=("c",)), wanted("c")], there("a", "b", "c"), ["c", "b", "a"]),
    "independent ones as the inventory has them": ([wanted("b"), wanted("a")], there("a", "b"), ["b", "a"]),
    "what is not installed is no upgrade": ([wanted("a"), wanted("b")], there("b"), ["b"]),
    "what is used and not there is no matter": ([wanted("a", uses=("z",))], there("a"), ["a"]),
    "values alone": ([wanted("a", OLD, revision="other")], there("a"), ["a"]),
    "half done is first": ([wanted("a"), wanted("b")], there("a", noted("b", begun="x")), ["b", "a"]),
    "half done, after what it stands on": (
        [wanted("a"), wanted("b", needs=("c",)), wanted("c"), wanted("d", needs=("b",))],
        there("a", noted("b", begun="x"), "c", "d"),
        ["c", "b", "a", "d"],
    ),
    "half done, and back at the old one": ([wanted("a", OLD)], there(noted("a", begun=NEW)), ["a"]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_who_comes_and_in_which_order(name: str) -> None:
    components_, installed, order = ORDERS[name]
    made = plan(components_, installed)
    assert list(made.work) == order
    assert set(made.reasons) == set(order)
    assert made.objections == ()


def charts(**versions: str) -> dict[str, str]:
    return {pin.replace("_", "-"): version for pin, version in versions.items()}


REASONS: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "a version": (charts(x="1"), charts(x="2"), "", "x 1 → 2"),
    "charts that go together": (charts(x="1", y="1", z="5"), charts(x="2", y="2", z="5"), "", "x, y 1 → 2"),
    "each its own": (charts(x="1", y="7"), charts(x="2", y="8"), "", "x 1 → 2; y 7 → 8"),
    "one more and one less": (charts(x="1", y="7"), charts(x="1", z="8"), "", "z 8, new; y no longer"),
    "other values": (charts(x="1"), charts(x="1"), "", "other values or objects"),
    "interrupted": (charts(x="1"), charts(x="2"), "r3", "half done, goes on: x 1 → 2"),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_becomes_of_it(name: str) -> None:
    before, after, begun, reason = REASONS[name]
    made = plan([Wanted("a", "r2", after)], {"a": Installed("a", "r1", versions=before, begun=begun)})
    assert made.reasons == {"a": reason}


STEPS: dict[str, tuple[str, str, str, str, str]] = {
    "a patch release": ("istio", "istiod", "1.30.2", "1.30.3", ""),
    "the next minor release": ("cilium", "cilium", "1.19.9", "1.20.0", ""),
    "a minor release is skipped": ("rook_ceph", "rook-ceph", "v1.18.9", "v1.20.6", "Rook cannot skip minor releases. Take them one after another"),
    "another major release": ("cert_manager", "cert-manager", "v1.21.1", "v2.0.0", "cert-manager v2.0.0 is another major release"),
    "others may skip": ("grafana", "grafana", "12.1.0", "15.11.1", ""),
    "a chart beside the program's": ("rook_ceph", "ceph-csi-drivers", "1.0.4", "1.8.0", ""),
    "back": ("loki", "loki", "18.11.0", "18.10.3", "loki: loki would go back from 18.11.0 to 18.10.3."),
    "back to a release candidate": ("loki", "loki", "18.11.0", "18.11.0-rc.1", "loki would go back from"),
    "from a release candidate": ("loki", "loki", "18.11.0-rc.1", "18.11.0", ""),
    "nobody knows": ("loki", "loki", "main", "18.11.0", "these versions cannot be compared"),
}


@pytest.mark.parametrize("name", STEPS)
def test_versions_that_it_can_go_to(name: str) -> None:
    component, pin, before, after, expected = STEPS[name]
    asked, installed = [Wanted(component, "r2", {pin: after})], {component: Installed(component, "r1", versions={pin: before})}
    objections = " ".join(str(finding) for finding in plan(asked, installed).objections)
    assert bool(objections) == bool(expected)
    assert expected in objections
    confirmed = plan(asked, installed, [component])
    assert bool(confirmed.objections) == ("release" in expected), "only the way back is the user's to confirm"


def test_a_downgrade_is_confirmed_by_name() -> None:
    asked, installed = [wanted("a", OLD), wanted("b", OLD)], there(noted("a", NEW), noted("b", NEW))
    assert [finding.where for finding in plan(asked, installed, ["b"]).objections] == ["a"]
    assert "-e upgrade_components_downgrade=a" in str(plan(asked, installed).objections[0])


def test_all_that_is_in_the_way_is_said_at_once() -> None:
    made = plan([wanted("a", "0.9.0", needs=("x", "b")), wanted("b", needs=("y",)), wanted("c", OLD, needs=("z",))], there("a", "b", "c"))
    assert [finding.where for finding in made.objections] == ["a", "a", "b"]
    assert "it needs x, which the cluster does not have. Install first what is missing: playbooks/platform.yml --limit x" in str(made.objections[1])


def test_components_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(InputError, match=r"components wait for each other: (a needs b needs a|b needs a needs b)"):
        plan([wanted("a", needs=("b",)), wanted("b", needs=("a",))], there("a", "b"))


def test_the_table_is_in_the_order_of_the_work() -> None:
    asked = [wanted("top", needs=("base",)), wanted("same", OLD), wanted("base"), wanted("missing")]
    installed = there("top", "same", "base")
    assert upgrade_plan.table(asked, installed, plan(asked, installed)) == [
        "STEP  COMPONENT  INSTALLED  ASKED  WHAT",
        "1     base       1.0.0      1.1.0  base-chart 1.0.0 → 1.1.0",
        "2     top        1.0.0      1.1.0  top-chart 1.0.0 → 1.1.0",
        "-     same       1.0.0      1.0.0  nothing to do",
        "-     missing    -          1.1.0  not installed",
    ]


def test_what_the_cluster_notes_is_read() -> None:
    class Client:
        deadline = Deadline(5)
        server = "test"

        def list(self, _path: str, _params: dict[str, str], *, deadline: Deadline) -> tuple[list[dict[str, Any]], str]:
            assert deadline is self.deadline
            labels = [{"trinode.dev/component": name} for name in ("istio", "loki", "unfinished")]
            data = [
                {"revision": "r1", "versions": "istio-base=1.30.3 istiod=1.30.3", "needs": "cilium gateway_api", "begun": "r2", "delivery": "argo_cd"},
                {"revision": "r7"},
                {},
            ]
            return [{"metadata": {"labels": label}, "data": item} for label, item in zip(labels, data, strict=True)], "1"

    assert components.read(Client()) == {  # type: ignore[arg-type]
        "istio": Installed("istio", "r1", ("cilium", "gateway_api"), "argo_cd", {"istio-base": "1.30.3", "istiod": "1.30.3"}, "r2"),
        "loki": Installed("loki", "r7"),
    }
