# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a running Ceph cluster shows. Data only; sizes are in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One of Ceph's health checks. ``severity`` is HEALTH_WARN or HEALTH_ERR; ``muted`` by somebody, for a time."""

    name: str
    severity: str
    summary: str
    muted: bool = False
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mon:
    """A monitor. ``host`` is its node's name; empty for one that has not told."""

    name: str
    host: str
    in_quorum: bool


@dataclass(frozen=True)
class Osd:
    """An OSD. ``host`` is its node's name, ``bucket`` the host's name in the CRUSH map; ``serial`` that of its disk, empty where Ceph does not know it.

    ``used`` is 0 as soon as it is out. ``weight`` is its weight in the CRUSH map, ``placement_groups`` how many it holds or serves now.
    """

    id: int
    host: str
    up: bool
    in_: bool
    device_class: str = ""
    size: int = 0
    used: int = 0
    serial: str = ""
    device: str = ""
    device_id: str = ""
    bucket: str = ""
    weight: float = 0.0
    placement_groups: int = 0

    def as_values(self) -> dict[str, Any]:
        names = ("id", "host", "up", "device_class", "size", "used", "serial", "device", "device_id", "weight", "placement_groups")
        return {**{name: getattr(self, name) for name in names}, "in": self.in_}


def usable(state: str) -> bool:
    """Whether the data of a placement group in this state can be read and written."""
    parts = set(state.split("+"))
    return "active" in parts and "stale" not in parts


def settled(state: str) -> bool:
    """Whether a placement group in this state has all copies where they belong."""
    return usable(state) and "clean" in state.split("+") and "remapped" not in state.split("+")


@dataclass(frozen=True)
class PlacementGroups:
    """How many, and in what states ("active+clean"). Objects are counted copy by copy; rates are per second."""

    total: int
    states: dict[str, int]
    degraded: int = 0
    misplaced: int = 0
    unfound: int = 0
    copies: int = 0
    recovering_bytes: int = 0
    recovering_objects: int = 0

    def matching(self, *parts: str) -> int:
        """How many are in a state that has one of these parts."""
        return sum(count for state, count in self.states.items() if set(parts) & set(state.split("+")))

    @property
    def active_clean(self) -> int:
        """With all copies where they belong; scrubbing does not matter."""
        return sum(count for state, count in self.states.items() if settled(state))

    @property
    def inactive(self) -> int:
        """Those whose data cannot be read and written now, or of which nobody has told anything lately ("stale")."""
        return self.total - sum(count for state, count in self.states.items() if usable(state))

    def as_values(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "active_clean": self.active_clean,
            "inactive": self.inactive,
            "states": dict(self.states),
            "degraded": self.degraded,
            "misplaced": self.misplaced,
            "unfound": self.unfound,
            "recovering_bytes": self.recovering_bytes,
        }


@dataclass(frozen=True)
class Pool:
    """``size`` pieces of each datum, of which ``min_size`` have to be there, one on each ``failure_domain`` ("host", "osd") of ``device_class`` ("": any)."""

    name: str
    size: int
    min_size: int
    failure_domain: str
    device_class: str = ""
    erasure_coded: bool = False
    placement_groups: int = 0
    stored: int = 0
    used: int = 0

    def as_values(self) -> dict[str, Any]:
        names = ("name", "size", "min_size", "failure_domain", "device_class", "erasure_coded", "placement_groups", "stored", "used")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Budget:
    """A disruption budget of Ceph's pods. ``unavailable`` is its maxUnavailable, None where it has none; ``pods`` are covered, ``allowed`` may go now."""

    name: str
    unavailable: int | None
    allowed: int
    pods: int

    def as_values(self) -> dict[str, Any]:
        return {"name": self.name, "max_unavailable": self.unavailable, "disruptions_allowed": self.allowed, "pods": self.pods}


@dataclass(frozen=True)
class Stop:
    """Ceph's own word on stopping OSDs: whether all data stays readable and writable, and how many placement groups would not. ``problem``: no word."""

    osds: tuple[int, ...]
    ok: bool
    inactive: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Ratios:
    """Shares of an OSD at which Ceph warns, moves nothing to it any more, and writes nothing to it any more."""

    near_full: float = 0.85
    backfill_full: float = 0.90
    full: float = 0.95


@dataclass(frozen=True)
class Ceph:
    """A look at a cluster. ``ok_to_stop`` and ``destroyable`` (OSDs that hold nothing that is not elsewhere) are None where it was not asked."""

    fsid: str
    version: str
    health: str
    checks: tuple[Check, ...]
    mons: tuple[Mon, ...]
    osds: tuple[Osd, ...]
    groups: PlacementGroups
    pools: tuple[Pool, ...] = ()
    total: int = 0
    used: int = 0
    available: int = 0
    ratios: Ratios = Ratios()
    flags: tuple[str, ...] = ()
    host_flags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    budgets: tuple[Budget, ...] = ()
    manages_budgets: bool = True
    filesystems: tuple[dict[str, Any], ...] = ()
    object_stores: tuple[dict[str, Any], ...] = ()
    ok_to_stop: Stop | None = None
    destroyable: tuple[int, ...] | None = None

    @property
    def recovering(self) -> bool:
        """Whether copies are made or moved, or wait for it."""
        moving = ("recovering", "recovery_wait", "recovery_toofull", "backfilling", "backfill_wait", "backfill_toofull", "degraded", "undersized", "remapped")
        return bool(self.groups.recovering_bytes or self.groups.matching(*moving))

    def osd(self, number: int) -> Osd | None:
        return next((osd for osd in self.osds if osd.id == number), None)
