"""Bringing a lab up and down."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from trinode_lab import (
    bmc,
    bmc_identity,
    ceph,
    cgroups,
    charts,
    control,
    disks,
    git,
    host,
    images,
    network,
    ownership,
    registry,
    rootfs,
    status,
    tools,
)
from trinode_lab.errors import LabError
from trinode_lab.processes import Record, start_daemon, wait_until
from trinode_lab.settings import SETTINGS_FILE, Machine, Settings, load_settings
from trinode_lab.timeline import Timeline

MAINTENANCE_SECONDS = 120.0


def build(*, front: bool = True) -> None:
    """Everything that ``up`` needs, made where it is missing."""
    host.check()
    started = time.monotonic()
    wanted = tools.wanted(front)
    missing = [tool for tool in wanted if not tool.built]
    tools.build(missing)
    rootfs.build()
    images.build()
    ceph.install()
    programs = tools.user_programs()
    done = f"built in {time.monotonic() - started:.0f} s" if missing else "everything was built already"
    print(f"{done}; programs: {programs}", flush=True)


def up(settings: Settings) -> None:
    """Machines in maintenance mode. What a killed `up` of this name left is removed first; a lab that stands is left as it is."""
    build(front=settings.front)
    if settings.powered_off and not bmc.available():
        raise LabError("machines that are powered off need BMCs, and sushy-tools is not installed: `make setup` installs it")
    with ownership.locked(f"lab {settings.name}"):
        standing = load_settings(settings)
        if standing and any(control.alive(machine) for machine in standing.machines) and not _unfinished(settings):
            print(f"lab {settings.name} is up already; `lab status` shows it, `lab down` ends it", flush=True)
            return
        _refuse_foreign_directory(settings)
        _remove(settings)
        started = time.monotonic()
        _prepare(settings)
        _start(settings)
        if not settings.powered_off:
            _wait_for_maintenance(settings)
        _start_bmcs(settings)
        (settings.state / "unfinished").unlink()
    Timeline(settings.timeline).record("lab-up", seconds=round(time.monotonic() - started, 1))
    what = "powered off" if settings.powered_off else "in maintenance mode"
    print(f"lab {settings.name}: {settings.machine_count} machine(s) {what} after {time.monotonic() - started:.1f} s", flush=True)


def _unfinished(settings: Settings) -> bool:
    return (settings.state / "unfinished").exists()


def _refuse_foreign_directory(settings: Settings) -> None:
    standing = load_settings(settings)
    ownership.refuse_foreign(settings.state, f"lab {settings.name}", standing and f"lab {standing.name}")


def _prepare(settings: Settings) -> None:
    """State directory, disks, control groups, network."""
    settings.state.mkdir(parents=True, exist_ok=True)
    settings.save()
    settings.save_parts(
        {
            "rootfs": rootfs.directory(),
            "images": images.directory(),
            "shim": tools.SHIM.program() if host.needs_shim() else None,
            "front": tools.FRONT.program() if settings.front else None,
            "ceph": ceph.prepare(settings),
        }
    )
    (settings.state / "unfinished").touch()
    settings.timeline.touch()  # the machines' pods append to it, and a file must be there to be mounted
    for name in ("registry", "charts", "cluster", "boot"):
        (settings.state / name).mkdir()
    bmc_identity.prepare(settings.bmc, settings.gateway)
    git.prepare(settings.git)
    charts.make(settings.state / "charts", ceph=bool(settings.parts()["ceph"]))
    with os.fdopen(os.open(settings.vault_password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"{secrets.token_urlsafe(24)}\n")
    for machine in settings.machines:
        for name in ("root", "state", "var", "disks"):
            (machine.directory / name).mkdir(parents=True)
        disks.manufacture(settings, machine)
    cgroups.Group(settings.name).create()
    network.create(settings)


def _start(settings: Settings) -> None:
    """The servers and a supervisor per machine, each in the lab's control group from its first instruction."""
    cgroups.Group(settings.name, "host").create()
    enter = _enter(settings)
    arguments = [str(settings.state), settings.gateway, settings.parts()["images"]]
    process = start_daemon("trinode_lab.registry", arguments, settings.state / "registry" / "log", enter)
    Record(settings.state / "registry" / "process").write(process.pid)
    for machine in settings.machines:
        process = start_daemon("trinode_lab.supervisor", [str(settings.state), machine.name], machine.directory / "supervisor.log", enter)
        Record(machine.directory / "process").write(process.pid)
    start_git(settings)
    if not wait_until(lambda: status.listens(settings.gateway, registry.REGISTRY_PORT), 60):
        raise LabError(f"the registry does not answer; its log: {settings.state / 'registry' / 'log'}")


def _enter(settings: Settings) -> Callable[[], None]:
    """What a new process does first: it goes into the lab's control group."""
    group = cgroups.Group(settings.name, "host")
    return lambda: group.add(os.getpid())


def start_git(settings: Settings) -> None:
    """Start the Git server where it does not run, and wait until it answers."""
    record = Record(settings.git / "process")
    if record.read() is None:
        process = start_daemon("trinode_lab.git", [str(settings.state), settings.gateway, str(git.PORT)], settings.git / "log", _enter(settings))
        record.write(process.pid)
    if not wait_until(lambda: status.listens(settings.gateway, git.PORT), 60):
        raise LabError(f"the Git server does not answer; its log: {settings.git / 'log'}")


def stop_git(settings: Settings) -> None:
    """End the Git server: from now on connections are refused."""
    process = Record(settings.git / "process").read()
    if process is not None and not process.end(signal.SIGTERM):
        raise LabError("the Git server does not end")


def look_at_bmc_faults(settings: Settings) -> None:
    """Have the BMCs' process open and close its ports as the faults say."""
    process = Record(settings.bmc / "process").read()
    if process is None:
        raise LabError(f"the BMCs' process does not run; its log: {settings.bmc / 'log'}")
    process.end(signal.SIGHUP, 0)


def _start_bmcs(settings: Settings) -> None:
    """Started last, and waited for only where nothing else is there: they take a second or two to start, in which machines that are on can be used."""
    if not bmc.available():
        print("  no BMCs: sushy-tools is not installed (`make setup` installs it)", flush=True)
        return
    process = start_daemon("trinode_lab.bmc", [str(settings.state)], settings.bmc / "log", _enter(settings))
    Record(settings.bmc / "process").write(process.pid)
    if settings.powered_off and not wait_until(lambda: all(status.listens(settings.gateway, settings.bmc_port(machine)) for machine in settings.machines), 60):
        raise LabError(f"the BMCs do not answer; their log: {settings.bmc / 'log'}")


def _wait_for_maintenance(settings: Settings) -> None:
    def ready(machine: Machine) -> bool:
        if not control.alive(machine):
            raise LabError(f"{machine.name}: its supervisor ended; its log: {machine.directory / 'supervisor.log'}")
        return status.listens(machine.address, network.API_PORT) and status.stage(settings, machine) == "maintenance"

    def wait(machine: Machine) -> str:
        if not wait_until(lambda: ready(machine), MAINTENANCE_SECONDS, 0.3):
            return machine.name
        print(f"  {machine.name} {machine.address}: maintenance", flush=True)
        return ""

    with ThreadPoolExecutor(settings.machine_count) as pool:
        late = [name for name in pool.map(wait, settings.machines) if name]
    if late:
        logs = ", ".join(str(settings.machine(name).console) for name in late)
        raise LabError(f"{', '.join(late)} did not reach maintenance mode within {MAINTENANCE_SECONDS:.0f} s; consoles: {logs}")


def down(settings: Settings) -> None:
    """End and remove everything of the lab: processes, control groups, network, state directory. Also after a killed `up`."""
    with ownership.locked(f"lab {settings.name}"):
        _refuse_foreign_directory(settings)
        _remove(settings)
    print(f"lab {settings.name}: nothing is left", flush=True)


def _remove(settings: Settings) -> None:
    group = cgroups.Group(settings.name)
    group.thaw_all()
    servers = [settings.state / name / "process" for name in ("registry", "git", "bmc")]
    for record in [*servers, *(machine.directory / "process" for machine in (load_settings(settings) or settings).machines)]:
        process = Record(record).read()
        if process is not None:
            process.end(signal.SIGKILL)
    group.end_all()
    group.remove()
    cgroups.remove_top()
    network.remove(settings.name)
    if (settings.state / SETTINGS_FILE).exists():
        disks.release(settings.state)
        shutil.rmtree(settings.state)
        with contextlib.suppress(OSError):
            settings.state.parent.rmdir()  # only when no other lab is in it
