# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How pools keep data: copies or erasure-coded chunks, and what the machines allow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Host, Policy
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError


@dataclass(frozen=True)
class Protection:
    """``pieces`` of each datum are kept, any ``data`` of them give it back, and with fewer than ``minimum`` of them there Ceph neither reads nor writes."""

    pieces: int
    data: int
    minimum: int

    @property
    def overhead(self) -> float:
        """Bytes on disks for each byte of data."""
        return self.pieces / self.data

    @property
    def text(self) -> str:
        if self.data == 1:
            return f"{self.pieces} {'copy' if self.pieces == 1 else 'copies'}"
        return f"erasure-coded {self.data}+{self.pieces - self.data}"


@dataclass(frozen=True)
class Pools:
    """``copies`` for everything, ``chunks`` for the data of buckets where that is erasure-coded (None: it has copies too)."""

    copies: Protection
    chunks: Protection | None
    warnings: tuple[str, ...]

    def as_values(self, policy: Policy) -> dict[str, Any]:
        """As the specs of Rook's pools have them."""
        replicated = {"size": self.copies.pieces, "requireSafeReplicaSize": self.copies.pieces > 1}
        common = {"failureDomain": policy.failure_domain, **({"deviceClass": policy.device_class} if policy.device_class else {})}
        chunks = {"dataChunks": policy.erasure_coded[0], "codingChunks": policy.erasure_coded[1]}
        return {
            "replicated": {**common, "replicated": replicated},
            "bulk": {**common, **({"erasureCoded": chunks} if self.chunks else {"replicated": replicated})},
        }


def replicated(copies: int) -> Protection:
    """Ceph's own minimum: half of the copies, rounded up."""
    return Protection(copies, 1, copies - copies // 2)


def erasure_coded(data: int, coding: int) -> Protection:
    """Ceph's own minimum: one more than are needed, unless there is but one spare."""
    return Protection(data + coding, data, data + min(1, coding - 1))


def decide(hosts: Sequence[Host], policy: Policy, machines: int) -> Pools:
    """What is possible on hosts with disks (without any: on all ``machines``). Raises RefusedError for what they cannot keep apart."""
    with_disks = [host for host in hosts if any(policy.device_class in ("", disk.device_class) for disk in host.disks)]
    if policy.device_class and not with_disks and any(host.disks for host in hosts):
        there = sorted({disk.device_class or "not known" for host in hosts for disk in host.disks})
        raise RefusedError(
            f"no disk is of class {policy.device_class}; there are {', '.join(there)}",
            where="rook_ceph_pool_device_class",
            hint="Give disks that class in machine_osd_disks (device_class), or name one that there is.",
        )
    if policy.failure_domain == "host":
        places, word = len(with_disks) or machines, "machines"
    else:
        places, word = sum(host.osds for host in with_disks) or machines, "OSDs"
    # Pools have a copy even where there is nowhere to put it yet.
    places = max(places, 1)
    copies = policy.copies or min(places, 3)
    if copies > places:
        raise RefusedError(
            f"{copies} copies need {copies} {word} with disks for storage, and there {_are(places)}",
            where="rook_ceph_pool_copies",
            hint="Lower it, leave it at 0, or give disks of more machines to Ceph (machine_osd_disks).",
        )
    chunks = None
    if policy.erasure_coded != (0, 0):
        chunks = erasure_coded(*policy.erasure_coded)
        if chunks.pieces > places:
            raise RefusedError(
                f"{chunks.text} needs {chunks.pieces} {word} with disks for storage, and there {_are(places)}",
                where="rook_ceph_pool_erasure_coded",
                hint="Three machines allow {data: 2, coding: 1} and nothing else that is worth it.",
            )
    return Pools(replicated(copies), chunks, tuple(_warnings(copies, chunks, with_disks, policy)))


def _are(count: int) -> str:
    return "is one" if count == 1 else f"are {count}"


def _warnings(copies: int, chunks: Protection | None, hosts: Sequence[Host], policy: Policy) -> list[str]:
    found = []
    if copies == 1 and hosts:
        found.append("There is one copy of everything: any disk that fails takes its data with it. Give Ceph disks of three machines.")
    elif copies == 2:
        found.append("Two copies are not safe: while one is away, writes go to a single disk, and its failure then loses them. Three machines allow three.")
    if chunks and chunks.minimum == chunks.data:
        found.append(
            f"Buckets are {chunks.text}: {chunks.overhead:.1f} bytes a byte instead of {copies}.0. One machine may be away, and then nothing is spare: with "
            f"min_size {chunks.minimum} writes go on without protection, each read is computed from {chunks.data} machines, and the next disk that fails loses "
            "data. Three copies survive that."
        )
    if policy.failure_domain == "osd":
        if len(hosts) > 1:
            found.append("The failure domain is the OSD: all copies of some data are on one machine, and away with it. Use host with several machines.")
        if any(disk.osds > 1 for host in hosts for disk in host.disks):
            found.append("The failure domain is the OSD, and disks have several: copies of some data are on one disk, and lost with it.")
    return found
