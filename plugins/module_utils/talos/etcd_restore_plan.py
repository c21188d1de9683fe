# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When etcd may be restored, and what has to be done for it. Pure.

Talos restores a snapshot where it bootstraps, on a control plane whose own data directory is empty. The data of all others has to be gone too: two old
members that come up would be a second cluster, with a quorum of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap_plan import Place
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary


@dataclass(frozen=True)
class Permission:
    """``force``: although etcd works. etcd's data may be removed by a container of this image, or with all of EPHEMERAL on machines of these addresses."""

    force: bool
    image: str
    wipe: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """``clear`` and ``wipe`` are addresses: of machines that lose etcd's data alone, and of those that lose EPHEMERAL; then it is restored on ``first``."""

    clear: tuple[str, ...]
    wipe: tuple[str, ...]
    first: str

    @property
    def lines(self) -> list[str]:
        return [
            *(f"{address}: etcd's data is removed, the machine reboots" for address in self.clear),
            *(f"{address}: EPHEMERAL is wiped, the machine reboots" for address in self.wipe),
            f"{self.first}: etcd is restored from the backup; the other control planes join",
        ]


def plan(first: str, places: Sequence[Place], monitors: Sequence[str], summary: EtcdSummary, permission: Permission) -> Plan:
    """What to do. ``monitors`` are the addresses of machines that hold the data of one of Ceph's monitors. Raises RefusedError with all that is against it."""
    against = []
    if summary.survives_loss_of(0) and not permission.force:
        healthy = ", ".join(member.hostname for member in summary.healthy_voters)
        against.append(f"etcd works ({healthy}), and everything since the backup would be lost; allow it with force, or leave it if a restore made this etcd")
    if first not in [place.address for place in places]:
        against.append(f"{first} is none of the control planes")
    for place in places:
        if place.trust == "maintenance" and place.address == first:
            against.append(f"{first} is in maintenance mode; give it its configuration first, or restore on another control plane")
        elif place.trust not in ("ours", "maintenance") or place.problem:
            reason = place.problem or f"the machine is {place.trust}"
            against.append(f"{place.address} cannot be asked for etcd's data ({reason}); bring it back, or reset it, or take it out of the inventory")
    holding = [place.address for place in places if place.has_data]
    wipe = [] if permission.image else [address for address in holding if address in permission.wipe]
    stuck = [] if permission.image else [address for address in holding if address not in permission.wipe]
    if stuck:
        against.append(
            f"etcd has data on {', '.join(stuck)}, which has to go; name an image with rm in it (such as busybox) that removes just that, or the machines "
            "whose EPHEMERAL may be wiped with all that is in /var"
        )
    lost = [address for address in wipe if address in monitors]
    if lost:
        against.append(f"{', '.join(lost)}: EPHEMERAL holds the data of a monitor of Ceph, which is not wiped here; remove etcd's data alone, by an image")
    if against:
        raise RefusedError("; ".join(against), where="restore of etcd", hint="Nothing was touched.")
    return Plan(tuple(holding) if permission.image else (), tuple(wipe), first)
