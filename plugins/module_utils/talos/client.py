# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that calls talosctl for a machine. Every call has a deadline, no shell, and ends in our exceptions (client_errors)."""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError
from ansible_collections.trinode.platform.plugins.module_utils.talos import client_output
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import NoSuchResource, Unreachable, explain_failure
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource

# Longer than any call takes on a machine that works: a call that hangs (etcd members without etcd does) is cut off here.
CALL_SECONDS = 10.0
# talosctl ends soon: a look for garbage, which took a quarter of the processor time of a call, can wait until it holds this much.
ENVIRONMENT = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}


class Talosctl:
    """talosctl for one machine: as its administrator (``talosconfig``), or without authentication on a machine in maintenance mode (``insecure``)."""

    def __init__(self, address: str, *, program: str = "talosctl", talosconfig: str = "", insecure: bool = False, fingerprint: str = "") -> None:
        self.address = address
        self.program = program
        self.talosconfig = talosconfig
        self.insecure = insecure
        self._fingerprint = fingerprint

    def argv(self, *arguments: str) -> list[str]:
        """The command line. The endpoint is always the machine itself, so that no other machine has to be up and none relays the call."""
        argv = [self.program, *arguments, "--nodes", self.address]
        if self.insecure:
            return [*argv, "--insecure"]
        # talosctl makes an empty file where there is none.
        talosconfig = self.talosconfig if os.path.exists(self.talosconfig) else os.devnull
        return [*argv, "--endpoints", self.address, "--talosconfig", talosconfig]

    def run(self, *arguments: str, action: str, deadline: Deadline, seconds: float = CALL_SECONDS, printed: bool = False) -> command.CommandResult:
        """Call talosctl once; ``action`` says in words what for. Raises what explain_failure makes of the failure; Unreachable after ``seconds``.

        ``printed``: what the call printed is no secret, and tells why it failed.
        """
        limit = deadline.at_most(seconds)
        deadline.check(f"could not {action}", where=self.address)
        try:
            result = command.run(self.argv(*arguments), deadline=limit, environment=ENVIRONMENT)
        except CommandError as error:
            if limit.expired:
                raise Unreachable(f"no answer within {limit.seconds:.0f} s to the attempt to {action}", where=self.address) from error
            raise
        if result.returncode != 0:
            raise explain_failure(f"{result.stdout}\n{result.stderr}" if printed else result.stderr, address=self.address, action=action)
        return result

    def get(self, kind: str, identity: str = "", *, deadline: Deadline, seconds: float = CALL_SECONDS) -> list[Resource]:
        """Resources of a kind (``machinestatus``), or the one named. An unknown kind or name gives an empty list."""
        arguments = ["get", kind, identity] if identity else ["get", kind]
        try:
            result = self.run(*arguments, "--output", "json", action=f"read {kind}", deadline=deadline, seconds=seconds)
        except NoSuchResource:
            return []
        return client_output.parse_resources(result.stdout)

    def get_all(self, *kinds: str, deadline: Deadline) -> dict[str, list[Resource]]:
        """Several kinds at once. Raises the first failure."""
        with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
            return dict(zip(kinds, pool.map(lambda kind: self.get(kind, deadline=deadline), kinds), strict=True))

    def watch(self, kind: str, *, deadline: Deadline, tick: float = 1.0) -> Iterator[Resource | None]:
        """Resources of a kind as they are and then as they change, and None after each ``tick`` seconds without news.

        Ends when the deadline passes. Raises when the stream breaks. A machine that loses power breaks nothing: it only falls silent, so look
        at the ticks.
        """
        stream = client_output.ResourceStream()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with command.started(self.argv("get", kind, "--watch", "--output", "json")) as process, selectors.DefaultSelector() as selector:
            if process.stdout is None or process.stderr is None:
                raise CommandError("talosctl was started without pipes")
            handle = process.stdout.fileno()
            os.set_blocking(handle, False)
            selector.register(handle, selectors.EVENT_READ)
            quiet_until = time.monotonic() + tick
            while not deadline.expired:
                if selector.select(max(0.0, min(quiet_until - time.monotonic(), deadline.remaining))):
                    chunk = os.read(handle, 65536)
                    if not chunk:
                        process.wait()
                        raise explain_failure(process.stderr.read(), address=self.address, action=f"watch {kind}")
                    yield from stream.feed(decoder.decode(chunk))
                elif time.monotonic() >= quiet_until:
                    yield None
                    quiet_until = time.monotonic() + tick

    def apply_config(self, text: str, *, mode: str, dry_run: bool, deadline: Deadline) -> str:
        """Send a machine configuration. Returns what talosctl reports, which in a dry run holds a diff with secrets: parse it, never show it."""
        with private_file(text) as path:
            arguments = ["apply-config", "--file", path, "--mode", mode]
            if dry_run:
                arguments.append("--dry-run")
            if self.insecure and self._fingerprint:
                arguments += ["--cert-fingerprint", self._fingerprint]
            # Applying waits for the machine's own checks, which look for the install disk.
            result = self.run(*arguments, action="apply the machine configuration", deadline=deadline, seconds=60)
        return result.stderr

    def patch_config(self, text: str, *, deadline: Deadline) -> None:
        """Merge documents into the machine configuration, without a reboot (strategic merge patches)."""
        with private_file(text) as path:
            arguments = ["patch", "machineconfig", "--patch", f"@{path}", "--mode", "no-reboot"]
            self.run(*arguments, action="change the machine configuration", deadline=deadline, seconds=60)

    def services(self, *, deadline: Deadline) -> list[client_output.ServiceState]:
        """State of every Talos service."""
        return client_output.parse_services(self.run("services", action="read its services", deadline=deadline).stdout)


@contextlib.contextmanager
def private_file(text: str) -> Iterator[str]:
    """A file of mode 0600 in a directory of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trinode-") as directory:
        path = os.path.join(directory, "config.yaml")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        yield path
