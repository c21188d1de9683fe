# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes with what, and what is denied: data only. Each entry says where it comes from.

A later component adds its rows here; compatibility/rules.py reads them and needs no change.
"""

from __future__ import annotations

from dataclasses import dataclass

Release = tuple[int, int]


@dataclass(frozen=True)
class Range:
    """``product`` in the releases ``lowest`` to ``highest``, both included."""

    product: str
    lowest: Release
    highest: Release


@dataclass(frozen=True)
class Requirement:
    """A release of ``product`` runs only with all of ``needs``."""

    product: str
    release: Release
    needs: tuple[Range, ...]


@dataclass(frozen=True)
class Denied:
    """Versions ``first`` to ``last`` of ``product``, both included, must not be used; ``instead`` says what to use."""

    product: str
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    reason: str
    instead: str


NAMES = {
    "talos": "Talos",
    "kubernetes": "Kubernetes",
    "cilium": "Cilium",
    "rook": "Rook",
    "ceph": "Ceph",
    "argo_cd": "Argo CD",
    "cert_manager": "cert-manager",
    "istio": "Istio",
}
"""Products as people write them."""

COMPONENT_PRODUCTS = {
    "cilium": "cilium",
    "rook_ceph": "rook",
    "cert_manager": "cert_manager",
    "istio": "istio",
}
"""The product whose version a component's version is, by the component's name in the inventory: where a chart's version is that of the program in it."""

PIN_PRODUCTS = {"cilium": "cilium", "rook-ceph": "rook", "argo-cd": "argo_cd", "cert-manager": "cert_manager", "istiod": "istio"}
"""The product in a pinned chart, whose version is the pin's ``application``."""

ADJACENT = frozenset({"cilium", "rook", "istio", "cert_manager"})
"""Products that are upgraded from one minor release to the next only, as their own upgrade guides ask for."""

REQUIREMENTS = (
    # github.com/siderolabs/talos, pkg/machinery/compatibility/talos112, talos113 (as of v1.13.8); 1.14 from its announcement.
    Requirement("talos", (1, 12), (Range("kubernetes", (1, 30), (1, 35)),)),
    Requirement("talos", (1, 13), (Range("kubernetes", (1, 31), (1, 36)),)),
    Requirement("talos", (1, 14), (Range("kubernetes", (1, 32), (1, 37)),)),
    # istio.io, supported releases; cert-manager.io, supported releases.
    Requirement("istio", (1, 30), (Range("kubernetes", (1, 32), (1, 36)),)),
    Requirement("cert_manager", (1, 21), (Range("kubernetes", (1, 33), (1, 36)),)),
    # Rook 1.20's documentation.
    Requirement("rook", (1, 20), (Range("kubernetes", (1, 31), (1, 36)),)),
)

DENIED = (
    Denied("cilium", (1, 19, 0), (1, 19, 4), "it can cut the host's own network off on Talos (cilium/cilium#44430, #46010)", "1.18, or a checked 1.20"),
    Denied("ceph", (20, 2, 0), (20, 2, 0), "it corrupts data when read affinity is on", "another release of Ceph"),
    Denied("argo_cd", (3, 4, 2), (3, 4, 2), "sync waves do not wait for one another (argoproj/argo-cd#27917)", "3.3.9"),
)
