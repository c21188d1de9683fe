# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as a page."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_WHAT = ("first apply", "first apply, servers", "re-apply", "re-apply, servers")


@dataclass
class Figures:
    """Seconds by load, contender and what was measured. ``objects`` are a load's number of objects, and of definitions among them."""

    rounds: int
    servers: int
    left_out: str = ""
    objects: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    busy: list[float] = field(default_factory=list)

    def add(self, load: str, who: str, what: str, seconds: float) -> None:
        self.busy.append(os.getloadavg()[0])
        self.seconds.setdefault((load, who, what), []).append(seconds)

    def median(self, load: str, who: str, what: str) -> float | None:
        found = self.seconds.get((load, who, what))
        return statistics.median(found) if found else None

    def contenders(self, load: str) -> list[str]:
        return list(dict.fromkeys(who for where, who, _what in self.seconds if where == load))

    def lines(self) -> Iterator[str]:
        """Each median with its number of measurements and its range."""
        for (load, who, what), found in self.seconds.items():
            yield f"({load}) {who}: {what} {statistics.median(found):.2f} s ({len(found)} times, {min(found):.2f} to {max(found):.2f})"


def write(figures: Figures, path: Path) -> None:
    path.write_text("\n".join(_page(figures)) + "\n", encoding="utf-8")


def _page(figures: Figures) -> Iterator[str]:
    yield "# Performance"
    yield ""
    yield "Written by `make bench` from its own output; nothing here is estimated. Seconds, medians; in brackets how often, and from least to most."
    yield ""
    yield f"- Machine: {_machine()}"
    yield f"- Servers: {figures.servers} kube-apiservers and one etcd, real ones, on loopback addresses of the same machine, so they compete with the clients."
    yield f"- Load of the machine while it ran: {min(figures.busy):.1f} to {max(figures.busy):.1f} (averages over a minute). Above its cores it was"
    yield "  used by others too, and rows that were measured one after the other cannot be compared by their seconds; the processor seconds that the API"
    yield "  servers spend on a load are less noisy."
    yield "- The floor is the same requests in a bare loop, without reading files, comparing, or reporting. Ours and kubernetes.core.k8s are whole tasks of"
    yield "  ansible-playbook, kubectl is whole processes; for definitions they are told to wait in between, since they cannot hold back what needs them."
    if figures.left_out:
        yield f"- kubernetes.core.k8s was not measured: {figures.left_out}."
    for load, title in (("a", "Objects of built-in kinds"), ("b", "The platform")):
        if load in figures.objects:
            yield ""
            yield from _table(figures, load, title)
    yield ""
    yield from _small(figures)
    yield ""
    yield from _reasons()


def _table(figures: Figures, load: str, title: str) -> Iterator[str]:
    count, definitions = figures.objects[load]
    yield f"## ({load}) {title}: {count} objects" + (f", {definitions} of them definitions with their real schemas" if definitions else "")
    yield ""
    yield "| who | first apply | processor seconds of the API servers | re-apply of the same | processor seconds of the API servers |"
    yield "|---|---|---|---|---|"
    for who in figures.contenders(load):
        cells = [_cell(figures, load, who, what) for what in _WHAT]
        if any(cells):
            yield f"| {who} | {' | '.join(cells)} |"
    singles = figures.seconds.get((load, "kubernetes.core.k8s, one call an object", "seconds per task"))
    if singles:
        yield ""
        yield f"kubernetes.core.k8s, one call an object: {statistics.median(singles):.2f} s for each object ({len(singles)} timed)."


def _small(figures: Figures) -> Iterator[str]:
    yield "## One task, and the end of a wait"
    yield ""
    yield "| who | a task with one unchanged object | from Ready on the server to the end of the task |"
    yield "|---|---|---|"
    names = list(dict.fromkeys([*figures.contenders("task"), *figures.contenders("wait")]))
    for who in names:
        yield f"| {who} | {_cell(figures, 'task', who, 'seconds per task')} | {_cell(figures, 'wait', who, 'from Ready to the end of the task')} |"


def _cell(figures: Figures, load: str, who: str, what: str) -> str:
    found = figures.seconds.get((load, who, what))
    if not found:
        return ""
    return f"{statistics.median(found):.2f} ({len(found)}: {min(found):.2f}-{max(found):.2f})"


def _reasons() -> Iterator[str]:
    yield "## Where the time goes"
    yield ""
    yield "- First apply of (b): after the definitions are sent, the API servers need most of the time to establish them, on all cores. What needs no new kind"
    yield "  goes meanwhile, a custom resource as soon as its kind is served. Definitions go sixteen at a time to all servers: the sooner they are there, the"
    yield "  more of them the controllers take together. Only kinds that an object waits for are asked for, in the small document of their group."
    yield "- Nothing is read object by object before it is sent: one list for many objects of a kind in a namespace, and none where the namespace is new."
    yield "- Re-apply: the ApplySet's parent records how each object was left. Its metadata tells whether it still is: then it is neither sent nor parsed."
    yield "  plugins/module_utils/kube/record.py says why no drift is missed, tests/contract/test_kube_apply_set.py tries every kind of drift."
    yield "  A server that is asked for a custom resource for the first time begins to cache its kind and refuses for a second; it is asked again much sooner."
    yield "- Requests go over all API servers that are told and healthy, on up to 32 connections that stay open."


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} {platform.release()}; Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
