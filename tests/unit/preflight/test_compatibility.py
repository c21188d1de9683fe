# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.compatibility import matrix, rules
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version

ROLES = Path(__file__).resolve().parents[3] / "roles"


def version(text: str) -> Version:
    parsed = Version.parse(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "numbers", "suffix"),
    [
        ("v1.13.8", (1, 13, 8), ""),
        ("1.13", (1, 13, 0), ""),
        ("v3.22.0+g1234567", (3, 22, 0), ""),
        ("v20.2.0-20250101", (20, 2, 0), "20250101"),
        ("v1.14.0-rc.1", (1, 14, 0), "rc.1"),
    ],
)
def test_versions_are_parsed(text: str, numbers: tuple[int, int, int], suffix: str) -> None:
    assert version(text).numbers == numbers
    assert version(text).suffix == suffix


@pytest.mark.parametrize("text", ["", "latest", "1", "v1.13.x", "1.13.8.1"])
def test_what_is_no_version_is_none(text: str) -> None:
    assert Version.parse(text) is None


@pytest.mark.parametrize(
    ("product", "text", "is_denied"),
    [
        ("cilium", "1.18.9", False),
        ("cilium", "1.19.0", True),
        ("cilium", "1.19.4", True),
        ("cilium", "1.19.5", False),
        ("ceph", "v20.2.0-20250101", True),
        ("ceph", "v19.2.3", False),
        ("argo_cd", "3.4.2", True),
    ],
)
def test_deny_list(product: str, text: str, is_denied: bool) -> None:
    objection = rules.denied(product, version(text))
    assert (objection is not None) == is_denied
    if objection:
        assert matrix.NAMES[product] in objection.what
        assert "denied: " in objection.what


@pytest.mark.parametrize(
    ("talos", "kubernetes", "fits"),
    [
        ("v1.12.0", "v1.30.0", True),
        ("v1.12.0", "v1.36.0", False),
        ("v1.13.8", "v1.31.0", True),
        ("v1.13.8", "v1.36.3", True),
        ("v1.13.8", "v1.37.0", False),
        ("v1.14.0", "v1.31.9", False),
        ("v1.14.0", "v1.37.0", True),
    ],
)
def test_talos_and_kubernetes(talos: str, kubernetes: str, fits: bool) -> None:
    assert (rules.unsupported("talos", version(talos), {"kubernetes": version(kubernetes)}) is None) == fits


def test_rook_and_kubernetes() -> None:
    assert rules.unsupported("rook", version("v1.20.3"), {"kubernetes": version("v1.36.3")}) is None
    objection = rules.unsupported("rook", version("v1.20.3"), {"kubernetes": version("v1.37.0")})
    assert objection is not None
    assert objection.hint == "It needs Kubernetes 1.31 to 1.36."


def test_a_product_without_rows_passes_and_an_unknown_release_does_not() -> None:
    assert rules.unsupported("cilium", version("1.18.4"), {}) is None
    assert rules.unsupported("talos", version("v1.99.0"), {}) is not None


@pytest.mark.parametrize(("contract", "fits"), [("v1.0", True), ("v1.12", True), ("v1.13", True), ("v1.14", False), ("v0.14", False)])
def test_contract(contract: str, fits: bool) -> None:
    assert (rules.contract(version(contract), version("v1.13.8")) is None) == fits


@pytest.mark.parametrize(("program", "fits"), [("v1.13.0", True), ("v1.13.8", True), ("v1.14.0", True), ("v1.12.9", False)])
def test_client(program: str, fits: bool) -> None:
    assert (rules.client(version(program), version("v1.13.8")) is None) == fits


def test_every_row_names_a_product_that_people_can_read() -> None:
    products = {entry.product for entry in (*matrix.DENIED, *matrix.REQUIREMENTS)} | {need.product for entry in matrix.REQUIREMENTS for need in entry.needs}
    assert products | set(matrix.COMPONENT_PRODUCTS.values()) <= set(matrix.NAMES)


def test_no_pin_is_denied_or_out_of_step_with_the_defaults() -> None:
    pins = yaml.safe_load((ROLES / "trinode" / "vars" / "main" / "pins.yml").read_text())["trinode_pins"]
    defaults = yaml.safe_load((ROLES / "trinode" / "defaults" / "main.yml").read_text())
    others = {name: version(defaults[f"trinode_{name}_version"]) for name in ("talos", "kubernetes")}
    for pin, product in matrix.PIN_PRODUCTS.items():
        application = version(pins[pin]["application"])
        assert rules.denied(product, application) is None
        assert rules.unsupported(product, application, others) is None
