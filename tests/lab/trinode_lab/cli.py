"""The lab's command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from trinode_lab import bmc_faults, ceph, commands, disks, faults, foreign, git, lifecycle, status, systems, tools
from trinode_lab.errors import LabError
from trinode_lab.settings import Settings, load_settings, make_settings
from trinode_lab.timeline import Timeline

_DISK = "its kernel name, its serial or the end of that: sdb, LAB-M1-OSD1 or OSD1"


def main() -> int:
    return commands.main(_parser())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Real Talos machines in namespaces; see tests/lab/README.md")
    add = commands.commands(parser, "COMMAND", _shared(None))
    add("build", lambda _: lifecycle.build(), "build the tools, the root file system and the images that are missing")
    up = add("up", _up, "bring machines up, in maintenance mode")
    up.add_argument("--no-front", action="store_true", help="without the hardware front")
    up.add_argument("--powered-off", action="store_true", help="machines without power and with empty disks; their BMCs answer")
    add("down", lambda options: lifecycle.down(_settings(options)), "end and remove everything")
    add("status", _status, "what each machine is").add_argument("--json", action="store_true")
    add("inventory", lambda options: _print(status.inventory(_standing(options))), "addresses and paths of the lab, JSON")
    url = add("git-url", _git_url, "URL of the lab's Git repository, with user and password")
    url.add_argument("user", nargs="?", choices=git.USERS, default=git.USERS[0], help=f"who (default: {git.USERS[0]})")
    add("bin", lambda _: print(tools.user_programs()), "print the directory with talosctl, helm, kubectl, kubeseal and argocd")
    logs = add("logs", _logs, "what a machine's console, the registry, the Git server or a front printed")
    logs.add_argument("what", help="a machine (m1), registry, git, bmc, front or supervisor")
    logs.add_argument("machine", nargs="?", help="with front and supervisor: the machine")
    power = add("power", _power, "switch a machine: on, off (in order), reboot (in order), cut (at once), reset (wiped, to maintenance)")
    power.add_argument("action", choices=("on", "off", "reboot", "cut", "reset"))
    power.add_argument("machine")
    timeline = add("timeline", _timeline, "what happened, oldest first")
    timeline.add_argument("--json", action="store_true")
    add("ceph", _ceph, "run `ceph` on the lab's cluster: lab ceph status, lab ceph -- -s").add_argument("arguments", nargs=argparse.REMAINDER)
    writer = add("ceph-write", _ceph_write, "write checksummed objects into Ceph until SIGTERM or SIGINT, then report losses and stalls (rook/writer.py)")
    writer.add_argument("--report", type=Path, required=True, help="file for the report, JSON")
    _add_disk(add("disk", None, "plug in a disk, or pull one out, while the machine runs"))
    _add_faults(add("fault", None, "make something go wrong, or right again"))
    return parser


def _shared(default: object) -> argparse.ArgumentParser:
    """The options that say which lab. A command inside a command takes them too, and then must not undo the outer ones."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--name", default=default, help="name of the lab (default: lab, or TRINODE_LAB_NAME)")
    shared.add_argument("--network", default=default, help="its /24 (default: 10.5.0.0/24, or TRINODE_LAB_NETWORK)")
    shared.add_argument("--machines", default=default, type=int, help="number of machines (default: 3, or TRINODE_LAB_MACHINES)")
    shared.add_argument("--state", default=default, help="its state directory (default: under XDG_STATE_HOME, or TRINODE_LAB_STATE)")
    return shared


def _add_disk(parser: argparse.ArgumentParser) -> None:
    add = commands.commands(parser, "ACTION", _shared(argparse.SUPPRESS))

    def action(name: str, run: object, text: str, operand: str) -> argparse.ArgumentParser:
        command = add(name, run, text)
        command.add_argument("machine")
        command.add_argument("disk", metavar="NAME", help=operand)
        return command

    new = action("add", _disk_add, "plug in a new and empty disk, or one that was pulled, with what is on it", "the end of its serial, such as OSD3")
    new.add_argument("--kind", choices=disks.KINDS, default="ssd", help="of a new one (default: ssd)")
    new.add_argument("--size", type=int, metavar="GIB", help="of a new one")
    new.add_argument("--twin-of", metavar="DISK", help="no disk of its own: a second path to that one, as multipath shows it")
    action("remove", _disk_remove, "pull a disk out", _DISK)


def _disk_add(options: argparse.Namespace) -> None:
    settings = _standing(options)
    disk = disks.add(settings, settings.machine(options.machine), options.disk, kind=options.kind, size=options.size, twin_of=options.twin_of)
    print(f"{options.machine} {disk['name']}: {disk['serial']}")


def _disk_remove(options: argparse.Namespace) -> None:
    settings = _standing(options)
    disk = disks.remove(settings, settings.machine(options.machine), options.disk)
    print(f"{options.machine} {disk['name']}: {disk['serial']} is out")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    command = commands.commands(parser, "FAULT", _shared(argparse.SUPPRESS))

    def add(name: str, run: object, text: str, operand: str = "machine") -> argparse.ArgumentParser:
        kind = command(name, run, text)
        kind.add_argument(operand)
        return kind

    def on_machine(act: object) -> object:
        def run(options: argparse.Namespace) -> None:
            settings = _standing(options)
            act(settings, settings.machine(options.machine))  # type: ignore[operator]

        return run

    add("power-cut", on_machine(faults.power_cut), "take its power away at once")
    add("freeze", on_machine(lambda settings, machine: faults.freeze(settings, machine, True)), "stop all its processes")
    add("thaw", on_machine(lambda settings, machine: faults.freeze(settings, machine, False)), "continue them")
    partition = add("partition", _partition, "pull its cable, or cut it off from some machines only")
    partition.add_argument("--from", dest="peers", nargs="+", default=[], metavar="MACHINE", help="machines that it can no longer talk to")
    add("heal", on_machine(faults.heal), "undo partition")
    add("lose-etcd-member", on_machine(faults.lose_etcd_member), "power cut, etcd's data gone, power on (Talos joins again as a new member)")
    add("image-unpullable", lambda options: faults.image_unpullable(_standing(options), options.image, True), "have the registry refuse an image", "image")
    add("image-restore", lambda options: faults.image_unpullable(_standing(options), options.image, False), "have it served again", "image")
    roll = add("upgrade", _fault_upgrade, "have the machine's next upgrade of Talos go wrong, once")
    roll.add_argument("what", choices=(*systems.UPGRADE_FAULTS, "none"), help="none: take it back")
    controller = add("bmc", _fault_bmc, "have the machine's BMC do something wrong, until `up`")
    controller.add_argument("what", choices=tuple(bmc_faults.FAULTS), help="; ".join(f"{name}: {text}" for name, text in bmc_faults.FAULTS.items()))
    disk = add("disk", _fault_disk, "have a disk die, or live again")
    disk.add_argument("disk", help=_DISK)
    disk.add_argument("what", choices=("fail", "restore"))
    names = add("swap-disks", _swap_disks, "two disks change their kernel names at the next boot")
    names.add_argument("disks", nargs=2, metavar="DISK", help=_DISK)
    contents = add("foreign", _foreign, "replace what is on a disk by somebody else's data")
    contents.add_argument("disk", help=_DISK)
    contents.add_argument("contents", choices=foreign.KINDS)
    server = command("git", lambda options: faults.git(_standing(options), options.what), "have the Git server answer no more, or again")
    server.add_argument("what", choices=("down", "up"))
    program = add("program", _program, "have an operator's or a webhook's double do something wrong", "program")
    program.add_argument("what", choices=("silent", "mute", "deny", "no-definitions", "restore"), help="see tests/lab/README.md")


def _git_url(options: argparse.Namespace) -> None:
    settings = _standing(options)
    print(settings.git_url.replace("//", f"//{options.user}:{git.password(settings.git, options.user)}@"))


def _fault_disk(options: argparse.Namespace) -> None:
    settings = _standing(options)
    act = disks.fail if options.what == "fail" else disks.restore
    act(settings, settings.machine(options.machine), options.disk)


def _fault_bmc(options: argparse.Namespace) -> None:
    settings = _standing(options)
    faults.bmc(settings, settings.machine(options.machine), options.what)


def _fault_upgrade(options: argparse.Namespace) -> None:
    settings = _standing(options)
    faults.upgrade(settings, settings.machine(options.machine), options.what)


def _swap_disks(options: argparse.Namespace) -> None:
    settings = _standing(options)
    disks.swap(settings, settings.machine(options.machine), *options.disks)


def _foreign(options: argparse.Namespace) -> None:
    settings = _standing(options)
    print(foreign.put(settings, settings.machine(options.machine), options.disk, options.contents))


def _program(options: argparse.Namespace) -> None:
    faults.program(_standing(options), options.program, "" if options.what == "restore" else options.what)


def _settings(options: argparse.Namespace) -> Settings:
    return make_settings(
        options.name,
        options.network,
        options.machines,
        options.state,
        front=not getattr(options, "no_front", False),
        powered_off=getattr(options, "powered_off", False),
    )


def _standing(options: argparse.Namespace) -> Settings:
    wanted = _settings(options)
    found = load_settings(wanted)
    if found is None:
        raise LabError(f"lab {wanted.name} is not up ({wanted.state} has no lab); `lab up` brings it up")
    return found


def _up(options: argparse.Namespace) -> None:
    settings = _settings(options)
    if settings.front and not tools.has_front():
        settings = replace(settings, front=False)
    lifecycle.up(settings)


def _print(value: object) -> None:
    print(json.dumps(value, indent=2))


def _status(options: argparse.Namespace) -> None:
    found = status.lab(_standing(options))
    if options.json:
        _print(found)
        return
    print(f"lab {found['name']}  network {found['network']}  state {found['state']}")
    print(f"{'machine':8} {'address':15} {'power':6} {'boots':5} {'stage':12} {'etcd member':18} node")
    for machine in found["machines"]:
        node = found["nodes"].get(machine["name"], "")
        print(
            f"{machine['name']:8} {machine['address']:15} {machine['power']:6} {machine.get('boots', 0)!s:5} {machine['stage']:12} {machine['etcd']:18} {node}"
        )


def _ceph(options: argparse.Namespace) -> None:
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    sys.exit(ceph.run(_standing(options), arguments))


def _ceph_write(options: argparse.Namespace) -> None:
    ceph.write(_standing(options), options.report)


def _power(options: argparse.Namespace) -> None:
    settings = _standing(options)
    faults.power(settings, settings.machine(options.machine), options.action)


def _partition(options: argparse.Namespace) -> None:
    settings = _standing(options)
    faults.partition(settings, settings.machine(options.machine), [settings.machine(peer) for peer in options.peers])


def _log_file(settings: Settings, what: str, machine: str | None) -> Path:
    if what in ("registry", "git", "bmc"):
        return settings.state / what / "log"
    if what in ("front", "supervisor"):
        if not machine:
            raise LabError(f"which machine's {what}? `lab logs {what} m1`")
        return settings.machine(machine).directory / f"{what}.log"
    return settings.machine(what).console


def _logs(options: argparse.Namespace) -> None:
    path = _log_file(_standing(options), options.what, options.machine)
    if not path.exists():
        raise LabError(f"there is no {path} yet")
    sys.stdout.write(path.read_text(errors="replace"))


def _timeline(options: argparse.Namespace) -> None:
    for event in Timeline(_standing(options).timeline).read():
        if options.json:
            print(json.dumps(event))
            continue
        clock = time.strftime("%H:%M:%S", time.localtime(event["time"])) + f".{int(event['time'] % 1 * 1000):03}"
        rest = "  ".join(f"{key}={value}" for key, value in event.items() if key not in ("time", "machine", "event", "changes"))
        print(f"{clock} {event['machine'] or '-':4} {event['event']:14} {rest}")
