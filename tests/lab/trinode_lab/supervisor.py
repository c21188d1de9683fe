"""One machine's power supply and reset button: starts it, starts it again when it asks for a reboot, keeps its console, its hardware front and the timeline.

Run as ``python -m trinode_lab.supervisor STATE MACHINE``. Commands come by the unix socket ``<machine dir>/control``, see tests/lab/README.md.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from trinode_lab import ceph, cgroups, disks, firmware, kernel, network, systems
from trinode_lab.boot import EXIT_CUT, EXIT_POWEROFF, EXIT_REBOOT
from trinode_lab.console import Console
from trinode_lab.processes import Process
from trinode_lab.settings import Machine, Settings, load_settings, make_settings
from trinode_lab.timeline import Timeline

STOP_SECONDS = 60.0
COMMANDS = ("on", "poweroff", "cut", "reboot", "restart", "reset", "freeze", "thaw", "status")
_ENDS = {EXIT_REBOOT: "reboot", EXIT_POWEROFF: "power-off", EXIT_CUT: "power-cut"}


class Supervisor:
    """The state of one machine. ``_lock`` guards it; ``_changed`` wakes the main loop, which alone starts processes (they die with its thread)."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self.settings = settings
        self.machine = machine
        self.parts = settings.parts()
        self.timeline = Timeline(settings.timeline)
        self.group = cgroups.Group(settings.name, machine.name)
        self._firmware_lock = threading.Lock()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._wanted_on = not settings.powered_off
        self._dark = ""  # why a machine that has power runs nothing
        self._wipe = False
        self._restart = False  # a stop that was asked for as the first half of a reboot
        self._frozen = False
        self._boots = 0
        self._configuration = ""  # sha256 of the stored one
        self._boot: subprocess.Popen[bytes] | None = None
        self._front: subprocess.Popen[bytes] | None = None

    # -- the main loop

    def run(self) -> None:
        self._serve()
        while True:
            self._keep_front()
            with self._lock:
                while not self._wanted_on:
                    self._changed.wait()
            plan = self._prepare()
            reason = self._run_once(plan) if plan.source else self._run_nothing(plan)
            with self._lock:
                if reason == "power-off" and not self._restart:
                    self._wanted_on = False
                self._restart = False
                on = self._wanted_on
            self.timeline.record(reason, machine=self.machine.name, changes=True, boot=self._boots)
            if on and reason == "crash":
                time.sleep(1)  # a machine that cannot boot must not spin

    def _prepare(self) -> firmware.Plan:
        """Power-on: control groups and network as new, disks under the names of this boot, STATE and EPHEMERAL emptied when that was asked for."""
        self.group.create()
        self.group.remove(keep=True)
        network.reset(self.settings, self.machine)
        disks.power_on(self.settings, self.machine)
        plan = firmware.power_on(self.machine, stick=not self.settings.powered_off, boot_url=self.settings.boot_url)
        with self._firmware_lock:
            firmware.consume(self.machine)
        for note in plan.notes:
            self.timeline.record("boot-device-failed", machine=self.machine.name, reason=note)
        if plan.upgrade:
            self.timeline.record("upgrade", machine=self.machine.name, changes=True, **plan.upgrade)
        with self._lock:
            wipe, self._wipe = self._wipe or plan.wipe, False
        for name in ("state", "var"):
            directory = self.machine.directory / name
            if wipe:
                shutil.rmtree(directory)
            directory.mkdir(exist_ok=True)
        if wipe:
            self.timeline.record("wiped", machine=self.machine.name, changes=True)
        return plan

    def _run_nothing(self, plan: firmware.Plan) -> str:
        """The machine has power and nothing that it could run; until somebody presses a button."""
        with self._lock:
            self._boots += 1
            self._dark = plan.reason if self._wanted_on else ""
        self.timeline.record("no-boot", machine=self.machine.name, changes=True, boot=self._boots, reason=plan.reason)
        with self._lock:
            while self._dark:
                self._changed.wait(1.0)
            return "reboot" if self._wanted_on else "power-off"

    def _run_once(self, plan: firmware.Plan) -> str:
        """Boot the machine and wait for its end; what ended it: reboot, power-off, power-cut or crash."""
        specification = {
            "namespace": str(network.NAMESPACES / self.machine.namespace),
            "cgroup": list(self.group.parts[1:]),
            "rootfs": self.parts["rootfs"],
            "directory": str(self.machine.directory),
            "hostname": self.machine.name,
            "files": {"etc/os-release": systems.os_release(plan.system.version), "etc/extensions.yaml": systems.extensions(plan.system.schematic)},
            "binds": ceph.binds(self.settings, self.machine) if self.parts.get("ceph") else [],
        }
        shim = [self.parts["shim"]] if self.parts["shim"] else []
        command = [*shim, sys.executable, "-m", "trinode_lab.boot", json.dumps(specification)]
        network.power(self.machine, True)
        with self._lock:
            self._boots += 1
            self._boot = boot = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=kernel.die_with_parent
            )
        self.timeline.record("boot", machine=self.machine.name, changes=True, boot=self._boots, source=plan.source, version=plan.system.version)
        assert boot.stdout is not None
        console = Console(self.machine.console, self.timeline, self.machine.name)
        reader = threading.Thread(target=console.follow, args=(boot.stdout,), daemon=True)
        reader.start()
        code = self._wait(boot)
        network.power(self.machine, False)
        self.group.end_all()
        reader.join(5)
        with self._lock:
            self._boot, self._frozen = None, False
        return _ENDS.get(code, "crash")

    def _wait(self, boot: subprocess.Popen[bytes]) -> int:
        """Wait for the machine's end; meanwhile keep the front running and look at the configuration."""
        while True:
            try:
                return boot.wait(1.0)
            except subprocess.TimeoutExpired:
                self._keep_front()
                self._look_at_configuration()

    def _look_at_configuration(self) -> None:
        """Record that Talos has stored another machine configuration."""
        try:
            text = (self.machine.directory / "state" / "config.yaml").read_bytes()
        except FileNotFoundError:
            text = b""
        digest = hashlib.sha256(text).hexdigest() if text else ""
        if digest and digest != self._configuration:
            self.timeline.record("configuration", machine=self.machine.name, changes=True, sha256=digest)
        self._configuration = digest

    # -- the hardware front

    def _keep_front(self) -> None:
        if not self.settings.front or (self._front is not None and self._front.poll() is None):
            return
        if self._front is not None:
            self.timeline.record("front-ended", machine=self.machine.name, code=self._front.returncode)
        directory = self.machine.directory / "front"
        directory.mkdir(exist_ok=True)
        arguments = {
            "machine": self.machine.name,
            "address": self.machine.address,
            "listen": f":{network.FRONT_PORT}",
            "upstream": f"127.0.0.1:{network.API_PORT}",
            "state": directory,
            "timeline": self.settings.timeline,
            "disks": self.machine.directory / "disks.json",
            "control": self.machine.control,
            "uuid": self.machine.uuid,
            "serial": self.machine.serial,
        }
        command = [self.parts["front"], *(part for name, value in arguments.items() for part in (f"--{name}", str(value)))]

        def enter() -> None:
            kernel.die_with_parent()
            kernel.enter_network(network.NAMESPACES / self.machine.namespace)

        with (self.machine.directory / "front.log").open("ab") as log:
            self._front = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=enter)

    # -- commands

    def command(self, name: str) -> str:
        """Carry out one command of the socket; what to answer."""
        if name == "status":
            return json.dumps(self.status())
        if name.partition(" ")[0] in firmware.COMMANDS:
            return self._set_up(*name.split())
        if name not in COMMANDS:
            return f"error: unknown command {name!r}: one of {', '.join(COMMANDS)}"
        threading.Thread(target=getattr(self, f"_do_{name}"), daemon=True).start()
        return "ok"

    def status(self) -> dict[str, Any]:
        with self._lock:
            init = _init_of(self._boot)
            set_up = firmware.read(self.machine)
            power = "on" if self._boot or self._dark else "off"
            return {
                "power": power,
                "frozen": self._frozen,
                "boots": self._boots,
                "init": init.pid if init else None,
                "nothing_runs": self._dark,
                "media": set_up.media,
                "boot_device": set_up.device if set_up.enabled != "Disabled" else "",
            }

    def _do_on(self) -> None:
        with self._lock:
            self._wanted_on = True
            self._dark = ""
            self._changed.notify_all()

    def _do_cut(self) -> None:
        with self._lock:
            self._wanted_on = False
        self._kill()

    def _do_poweroff(self) -> None:
        with self._lock:
            self._wanted_on = False
        self._stop()

    def _do_reboot(self) -> None:
        with self._lock:
            self._wanted_on = True
            self._restart = self._boot is not None
            self._dark = ""
            self._changed.notify_all()
        self._stop()

    def _do_restart(self) -> None:
        """Power cut and on again, nothing wiped: a BMC's ForceRestart."""
        with self._lock:
            self._wanted_on = True
        self._kill()

    def _set_up(self, *words: str) -> str:
        """The BMC's part of the firmware's settings; what to answer."""
        try:
            with self._firmware_lock:
                event, fields = firmware.set_up(self.machine, *words)
        except ValueError as error:
            return f"error: {error}"
        self.timeline.record(event, machine=self.machine.name, changes=True, **fields)
        return "ok"

    def _do_reset(self) -> None:
        with self._lock:
            self._wipe = self._wanted_on = True
            self._dark = ""
            self._changed.notify_all()
        self._kill()

    def _do_freeze(self) -> None:
        self._set_frozen(True)

    def _do_thaw(self) -> None:
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        self.group.freeze(frozen)
        with self._lock:
            self._frozen = frozen
        self.timeline.record("frozen" if frozen else "thawed", machine=self.machine.name, changes=True)

    def _kill(self) -> None:
        """Power cut: the machine's first process ends, and the kernel ends all others of its PID namespace."""
        with self._lock:
            boot, self._dark = self._boot, ""
            self._changed.notify_all()
        self.group.freeze(False)
        init = _init_of(boot)
        if init is not None:
            init.end(signal.SIGKILL, 0)
        elif boot is not None:
            boot.kill()

    def _stop(self) -> None:
        """Power button: SIGTERM has Talos stop in order; cut after ``STOP_SECONDS``."""
        with self._lock:
            boot, self._dark = self._boot, ""
            self._changed.notify_all()
        if boot is None:
            return
        init = _init_of(boot)
        if init is None or not init.end(signal.SIGTERM, STOP_SECONDS):
            self._kill()

    def _serve(self) -> None:
        supervisor = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(f"{supervisor.command(line.decode().strip())}\n".encode())

        self.machine.control.unlink(missing_ok=True)
        server = socketserver.ThreadingUnixStreamServer(str(self.machine.control), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()


def _init_of(boot: subprocess.Popen[bytes] | None) -> Process | None:
    """The machine's PID 1, as seen here: the end of the chain shim - boot - init."""
    pid = boot.pid if boot else 0
    while pid:
        try:
            if _is_init(pid):
                return Process.of(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return None  # it is ending
        pid = int(children[0]) if children else 0
    return None


def _is_init(pid: int) -> bool:
    """Whether the process is PID 1 of a namespace below ours."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False


def main(state: str, name: str) -> None:
    settings = load_settings(make_settings(None, None, None, state))
    assert settings is not None  # `up` has written it
    Supervisor(settings, settings.machine(name)).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
