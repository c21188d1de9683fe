# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that the user chose, against the compatibility matrix and the deny list."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.trinode.platform.plugins.module_utils.compatibility import rules
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.matrix import COMPONENT_PRODUCTS
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.rules import Objection
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Entry, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values

_DATE = re.compile(r"\d{8}")


def check_versions(inventory: Inventory, cluster: Values) -> Iterator[Finding]:
    """Talos, its contract, Kubernetes, and the components' versions."""
    talos = _version(cluster, "trinode_talos_version")
    kubernetes = _version(cluster, "trinode_kubernetes_version")
    contract = _version(cluster, "trinode_talos_contract")
    others = {name: version for name, version in (("talos", talos), ("kubernetes", kubernetes)) if version}

    def about(name: str, objection: Objection | None) -> Iterator[Finding]:
        if objection:
            yield Finding(objection.what, objection.hint, cluster.origin(name), variable=name)

    if talos:
        yield from about("trinode_talos_version", rules.denied("talos", talos))
        # The objection stands at the version that would be changed: Kubernetes, unless Talos itself is unknown.
        unknown = rules.unsupported("talos", talos, {})
        yield from about("trinode_talos_version", unknown)
        if not unknown:
            yield from about("trinode_kubernetes_version", rules.unsupported("talos", talos, others))
    if kubernetes:
        yield from about("trinode_kubernetes_version", rules.denied("kubernetes", kubernetes))
    if talos and contract:
        yield from about("trinode_talos_contract", rules.contract(contract, talos))
    yield from _components(inventory, others)
    yield from _ceph_image(inventory)


def _components(inventory: Inventory, others: dict[str, Version]) -> Iterator[Finding]:
    for component in inventory.components:
        product = COMPONENT_PRODUCTS.get(component.name)
        name = f"{component.name}_version"
        entry = component.variables.get(name) or Entry(component.version)
        if product is None or not entry.readable or not entry.value:
            continue
        version = Version.parse(str(entry.value))
        if version is None:
            objection: Objection | None = Objection(f"{entry.value!r} is not a version", "Write it whole, such as 1.18.4.")
        else:
            objection = rules.denied(product, version) or rules.unsupported(product, version, others)
        if objection:
            yield Finding(objection.what, objection.hint, entry.origin or component.origin, (component.name,), name)


def _ceph_image(inventory: Inventory) -> Iterator[Finding]:
    """The tag of Ceph's image: one that always names the same image, and none that is known to be bad."""
    name = "rook_ceph_image_tag"
    for component in inventory.components:
        entry = component.variables.get(name)
        if component.name != "rook_ceph" or entry is None or not entry.readable or not entry.value:
            continue
        version = Version.parse(str(entry.value))
        if version is None or not _DATE.fullmatch(version.suffix):
            hint = "Write it with its date, such as v20.2.4-20260818: what a shorter tag names is replaced now and then."
            yield Finding(f"{entry.value!r} is no whole tag of Ceph's image", hint, entry.origin or component.origin, (component.name,), name)
        elif objection := rules.denied("ceph", version):
            yield Finding(objection.what, objection.hint, entry.origin or component.origin, (component.name,), name)


def _version(values: Values, name: str) -> Version | None:
    text = values.get(name)
    return Version.parse(text) if text else None
