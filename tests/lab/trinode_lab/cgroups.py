"""Control groups of the lab, version 1 or 2: they hold every process of a lab, can freeze a machine, and find what a killed `up` left behind."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import cache
from pathlib import Path

from trinode_lab.errors import LabError
from trinode_lab.processes import Process, wait_until

MOUNT = Path("/sys/fs/cgroup")
TOP = "trinode-lab"
MYSELF = 0  # what cgroup.procs takes for the writer, whatever its pid is outside its namespace


@cache
def hierarchies() -> dict[str, Path]:
    """Mounted hierarchies by name. Version 2 has one, named ``unified``; version 1 one for each controller."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        path, kind = Path(left.split()[4]), right.split()[0]
        if kind == "cgroup2" and path == MOUNT:
            return {"unified": path}
        if kind == "cgroup" and path.parent == MOUNT:
            found[path.name] = path
    if not found:
        raise LabError(f"no control groups are mounted under {MOUNT}")
    return found


def unified() -> bool:
    """Whether this machine has cgroup version 2 alone."""
    return "unified" in hierarchies()


class Group:
    """A control group of the same path in every hierarchy."""

    def __init__(self, *parts: str) -> None:
        self.parts = (TOP, *parts)

    @property
    def paths(self) -> dict[str, Path]:
        return {name: root.joinpath(*self.parts) for name, root in hierarchies().items()}

    def create(self) -> None:
        for name, path in self.paths.items():
            root = hierarchies()[name]
            for ancestor in [*reversed(path.relative_to(root).parents)]:
                self._delegate(root / ancestor, name)
            path.mkdir(parents=True, exist_ok=True)
            if name == "cpuset":
                self._inherit_cpuset(root, path)

    @staticmethod
    def _delegate(path: Path, hierarchy: str) -> None:
        """Version 2: let children have the controllers that this group has."""
        path.mkdir(exist_ok=True)
        if hierarchy == "unified":
            controllers = (path / "cgroup.controllers").read_text().split()
            (path / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))

    @staticmethod
    def _inherit_cpuset(root: Path, path: Path) -> None:
        """Version 1: a new cpuset is empty and takes no process; give each level what its parent has."""
        for level in [*[*reversed(path.relative_to(root).parents)][1:], path.relative_to(root)]:
            for setting in ("cpuset.cpus", "cpuset.mems"):
                here = root / level / setting
                if not here.read_text().strip():
                    here.write_text((root / level).parent.joinpath(setting).read_text())

    def add(self, pid: int) -> None:
        for path in self.paths.values():
            (path / "cgroup.procs").write_text(str(pid))

    def processes(self) -> list[Process]:
        """Every live process in this group and the groups under it, in any hierarchy."""
        pids: set[int] = set()
        for path in self.paths.values():
            for directory, _, files in os.walk(path):
                if "cgroup.procs" in files:
                    pids.update(_pids(Path(directory) / "cgroup.procs"))
        return [process for process in map(Process.of, sorted(pids)) if process is not None]

    def freeze(self, frozen: bool) -> None:
        """Stop or continue every process of the group at once."""
        if unified():
            file, value = self.paths["unified"] / "cgroup.freeze", "1" if frozen else "0"
        else:
            file, value = self.paths["freezer"] / "freezer.state", "FROZEN" if frozen else "THAWED"
        if file.exists():
            file.write_text(value)

    def thaw_all(self) -> None:
        """Continue every group under this one: a frozen process cannot be ended."""
        top = self.paths["unified" if unified() else "freezer"]
        for directory, _, _ in os.walk(top):
            Group(*Path(directory).relative_to(top.parents[len(self.parts) - 1]).parts[1:]).freeze(False)

    def end_all(self, seconds: float = 20.0) -> None:
        """End every process of the group with SIGKILL; raises LabError when some remain."""

        def empty() -> bool:
            processes = self.processes()
            for process in processes:
                process.end(signal.SIGKILL, 0)
            return not processes

        if not wait_until(empty, seconds):
            left = ", ".join(str(process.pid) for process in self.processes())
            raise LabError(f"processes of the lab do not end: {left}")

    def remove(self, keep: bool = False) -> None:
        """Remove the groups under this one, and it too unless ``keep``."""

        def removed() -> bool:
            done = True
            for path in self.paths.values():
                for directory, _, _ in os.walk(path, topdown=False):
                    if keep and Path(directory) == path:
                        continue
                    try:
                        os.rmdir(directory)
                    except FileNotFoundError:
                        pass
                    except OSError:
                        done = False  # the kernel is still taking leave of its last process
            return done

        if not wait_until(removed, 10):
            raise LabError(f"control groups {'/'.join(self.parts)} cannot be removed: processes {[process.pid for process in self.processes()]} are in them")


def remove_top() -> None:
    """Remove the group above all labs once the last lab is gone."""
    for root in hierarchies().values():
        with contextlib.suppress(OSError):  # absent, or another lab stands
            (root / TOP).rmdir()


def _pids(file: Path) -> list[int]:
    try:
        return [int(line) for line in file.read_text().split()]
    except (FileNotFoundError, OSError):
        return []  # the group went away while we looked
