"""Look at the cluster from outside while something happens to it: who votes in etcd, and whether the Kubernetes API answers."""

from __future__ import annotations

import base64
import contextlib
import itertools
import ssl
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
import yaml
from driver import Lab

API_SECONDS = 5
"""How long the Kubernetes API may be away at its own endpoint when a machine goes."""


@dataclass
class Watcher(ABC):
    """Looks again and again, beside the test, until its block ends."""

    lab: Lab
    looks: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.look()
            self.looks += 1
            self._stop.wait(self.pause)

    pause: float = field(default=0.5, init=False)

    @abstractmethod
    def look(self) -> None: ...


@dataclass
class TimelineWatcher(Watcher):
    """Looks at what happens to the machines from its beginning on."""

    def __post_init__(self) -> None:
        self._seen = len(self.lab.timeline())

    def events(self) -> list[dict[str, Any]]:
        return self.lab.timeline()[self._seen :]


@dataclass
class Voters(Watcher):
    """Asks each member of etcd whether it answers as a voter."""

    fewest: int = field(default=99, init=False)

    def look(self) -> None:
        program = str(Path(self.lab.command("bin").strip()) / "talosctl")
        config = str(self.lab.state / "cluster" / "talosconfig")
        asked = [
            subprocess.Popen(
                [program, "--talosconfig", config, "-e", self.lab.address(number), "-n", self.lab.address(number), "etcd", "status"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for number in range(1, self.lab.machines + 1)
        ]
        answers = []
        for process in asked:
            try:
                output, _error = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                output, _error = process.communicate()
            answers.append(process.returncode == 0 and "false" in output)
        self.fewest = min(self.fewest, sum(answers))


@dataclass
class Api(Watcher):
    """Reads a namespace, each time on a new connection: through the cluster's endpoint, or through the first of the machines' own addresses that answers."""

    machines: bool = False
    answers: list[float] = field(default_factory=list, init=False)
    """Moments of answers, seconds of a monotonic clock."""
    unanswered: int = field(default=0, init=False)
    pause: float = field(default=0.1, init=False)

    def __post_init__(self) -> None:
        content = yaml.safe_load((self.lab.state / "cluster" / "kubeconfig").read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        endpoint = urllib3.util.parse_url(cluster["server"]).host or ""
        self._hosts = [self.lab.address(number) for number in range(1, self.lab.machines + 1)] if self.machines else [endpoint]
        self._context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:  # 0600; ssl reads files only
            pair.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)

    def look(self) -> None:
        if any(self._reads(host) for host in self._hosts):
            self.answers.append(time.monotonic())
        else:
            self.unanswered += 1

    def _reads(self, host: str) -> bool:
        with (
            contextlib.suppress(urllib3.exceptions.HTTPError),
            urllib3.HTTPSConnectionPool(host, 6443, ssl_context=self._context, timeout=urllib3.Timeout(total=2), retries=False) as pool,
        ):
            return bool(pool.request("GET", "/api/v1/namespaces/kube-system").status == 200)
        return False

    def longest(self) -> float:
        """The longest time without an answer, in seconds."""
        return max(self._between(), default=0.0)

    def _between(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.answers)]
