"""Things that go wrong on purpose."""

from __future__ import annotations

import json
import shutil
import subprocess

from trinode_lab import bmc_faults, control, lifecycle, network, status, systems, tools
from trinode_lab.errors import LabError
from trinode_lab.processes import wait_until
from trinode_lab.settings import Machine, Settings
from trinode_lab.timeline import Timeline

STOP_SECONDS = 90.0


def power(settings: Settings, machine: Machine, action: str) -> None:
    """``on``, ``off`` (power button: Talos stops in order), ``cut``, ``reboot`` or ``reset``; returns when the machine's power is as asked for."""
    before = control.status(machine)
    control.send(machine, {"off": "poweroff"}.get(action, action))

    def done() -> bool:
        now = control.status(machine)
        if action in ("off", "cut"):
            return bool(now["power"] == "off")
        rebooted = now["boots"] > before["boots"] or (action == "on" and before["power"] == "on")
        return bool(now["power"] == "on" and rebooted)

    if not wait_until(done, STOP_SECONDS):
        raise LabError(f"{machine.name}: power {action} took longer than {STOP_SECONDS:.0f} s; its console: {machine.console}")


def power_cut(settings: Settings, machine: Machine) -> None:
    _note(settings, "power-cut", machine)
    power(settings, machine, "cut")


def freeze(settings: Settings, machine: Machine, frozen: bool) -> None:
    """Stop or continue every process of the machine at once; its addresses stay, nothing answers."""
    _note(settings, "freeze" if frozen else "thaw", machine)
    control.send(machine, "freeze" if frozen else "thaw")
    if not wait_until(lambda: control.status(machine)["frozen"] is frozen, 10):
        raise LabError(f"{machine.name}: does not {'freeze' if frozen else 'thaw'}")


def partition(settings: Settings, machine: Machine, others: list[Machine]) -> None:
    _note(settings, "partition", machine, peers=[other.name for other in others] or ["everything"])
    network.partition(machine, others)


def heal(settings: Settings, machine: Machine) -> None:
    _note(settings, "heal", machine)
    network.heal(machine, control.status(machine)["power"] == "on")


def lose_etcd_member(settings: Settings, machine: Machine) -> None:
    """Power cut, the member's data is gone, power on. Talos then removes the lost member and joins as a new one: a learner first, a voter some 15 s later."""
    data = machine.directory / "var" / "lib" / "etcd"
    if not data.exists():
        raise LabError(f"{machine.name} has no etcd member to lose: {data} does not exist")
    _note(settings, "lose-etcd-member", machine)
    power(settings, machine, "cut")
    shutil.rmtree(data)
    power(settings, machine, "on")


def upgrade(settings: Settings, machine: Machine, what: str) -> None:
    """What the machine's next upgrade shall do wrong, once; ``none``: nothing."""
    path = systems.upgrade_fault(machine)
    if what == "none":
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{what}\n")
    Timeline(settings.timeline).record("fault", machine=machine.name, fault=f"upgrade-{what}")


def bmc(settings: Settings, machine: Machine, what: str) -> None:
    """What the machine's BMC does wrong from now on; ``up``: nothing."""
    bmc_faults.write(settings.state, machine.name, what)
    lifecycle.look_at_bmc_faults(settings)
    if not wait_until(lambda: status.listens(settings.gateway, settings.bmc_port(machine)) is (what != "down"), 10):
        raise LabError(f"{machine.name}: its BMC does not go {what}; the log: {settings.bmc / 'log'}")
    Timeline(settings.timeline).record("fault", machine=machine.name, fault=f"bmc-{what}")


def image_unpullable(settings: Settings, image: str, unpullable: bool) -> None:
    """The registry refuses (or serves again) a repository, with or without its registry's host and a tag."""
    path = settings.state / "registry" / "faults"
    names = set(path.read_text().split()) if path.exists() else set()
    if not unpullable and image not in names:
        raise LabError(f"image {image} is not unpullable by a fault; those that are: {', '.join(sorted(names)) or 'none'}")
    names = names | {image} if unpullable else names - {image}
    temporary = path.with_suffix(".new")
    temporary.write_text("".join(f"{name}\n" for name in sorted(names)))
    temporary.replace(path)
    Timeline(settings.timeline).record("fault", fault="image-unpullable" if unpullable else "image-restored", image=image)


def git(settings: Settings, what: str) -> None:
    """``down``: the Git server ends, and connections are refused; ``up``: it runs again, with what it had."""
    Timeline(settings.timeline).record("fault", fault=f"git-{what}")
    if what == "down":
        lifecycle.stop_git(settings)
    else:
        lifecycle.start_git(settings)


def program(settings: Settings, name: str, fault: str) -> None:
    """What an operator's or webhook's double shall do wrong (stub/operator.go); "" is nothing. It learns it from a ConfigMap in the cluster."""
    kubeconfig = settings.state / "cluster" / "kubeconfig"
    if not kubeconfig.exists():
        raise LabError(f"there is no cluster yet whose programs could fail: {kubeconfig} does not exist")
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lab-faults", "namespace": "kube-system"}, "data": {name: fault}}
    kubectl = [str(tools.user_programs() / "kubectl"), f"--kubeconfig={kubeconfig}"]
    # One manager for each program's field, so that one fault does not undo another.
    command = [*kubectl, "apply", "--server-side", f"--field-manager=lab-{name}", "-f", "-"]
    result = subprocess.run(command, input=json.dumps(item), capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"kubectl: {result.stderr.strip()}")
    Timeline(settings.timeline).record("fault", fault=f"program-{fault or 'restored'}", program=name)


def _note(settings: Settings, name: str, machine: Machine, **fields: object) -> None:
    Timeline(settings.timeline).record("fault", machine=machine.name, changes=True, fault=name, **fields)
