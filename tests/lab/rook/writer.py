"""Writes checksummed objects into a pool of Ceph, reads them again, and tells in JSON whether one was lost and for how long writing stood still.

    writer.py --conf FILE --pool NAME --report FILE [--interval SECONDS]

Runs until SIGTERM or SIGINT, then reads everything that it has written, and writes the report:

    seconds, writes, reads             how much was done
    lost                               objects that are gone or hold something else than what Ceph had confirmed last
    errors                             operations that failed or took longer than 60 s, which are no loss: nothing was confirmed
    unread                             objects that were not read in the end, since Ceph did not answer
    stalls, longest                    times of more than two seconds without a write, ``{at, seconds}``; the longest of all writes, seconds
    short                              looks at which placement groups of any pool had fewer than min_size copies, ``{at, states}``
    most_degraded, most_down           the most degraded objects and OSDs down that a look saw
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import rados  # type: ignore[import-not-found]

_OBJECTS = 256
_SIZE = 8192
_STALL = 2.0
_LOOK = 1.0
_TIMEOUT = "60"
_MON_TIMEOUT = "10"
_SHORT = {"peered", "down", "incomplete"}  # states of groups that wait for copies; one that is only peering has them


class Writer:
    """``confirmed`` is the digest that each object must have; an object whose last write was not confirmed may have either."""

    def __init__(self, cluster: Any, pool: str) -> None:
        self.cluster = cluster
        self.pool = cluster.open_ioctx(pool)
        self.confirmed: dict[str, str] = {}
        self.unsure: dict[str, set[str]] = {}
        self.report: dict[str, Any] = {"writes": 0, "reads": 0, "lost": [], "errors": [], "stalls": [], "longest": 0.0, "short": []}
        self.report |= {"unread": 0, "most_degraded": 0, "most_down": 0}

    def write(self, number: int) -> None:
        name, content = f"object-{number % _OBJECTS}", os.urandom(_SIZE)
        digest = hashlib.sha256(content).hexdigest()
        began = time.monotonic()
        try:
            self.pool.write_full(name, content)
        except rados.Error as error:
            self.unsure.setdefault(name, set()).add(digest)
            self.report["errors"].append({"at": time.time(), "write": name, "error": str(error)})
        else:
            self.confirmed[name] = digest
            self.unsure.pop(name, None)
            self.report["writes"] += 1
        self._took(time.monotonic() - began)

    def check_all(self) -> None:
        """Each object, but for the rest once one cannot be read: every other one would take as long."""
        names = list(self.confirmed)
        for number, name in enumerate(names):
            before = len(self.report["errors"])
            self.check(name)
            if len(self.report["errors"]) > before:
                self.report["unread"] = len(names) - number
                return

    def check(self, name: str) -> None:
        try:
            content = self.pool.read(name, _SIZE)
        except rados.ObjectNotFound:
            self._lost(name, "it is not there")
            return
        except rados.Error as error:
            self.report["errors"].append({"at": time.time(), "read": name, "error": str(error)})
            return
        self.report["reads"] += 1
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.confirmed[name] and digest not in self.unsure.get(name, ()):
            self._lost(name, "it holds something else")

    def look(self) -> None:
        """What the monitors say about placement groups."""
        try:
            number, answer, _ = self.cluster.mon_command(json.dumps({"prefix": "status", "format": "json"}), b"")
        except rados.Error:
            number = 1
        if number:  # nobody is there to say anything, as when all machines are switched off
            return
        status = json.loads(answer)
        states = {entry["state_name"]: entry["count"] for entry in status["pgmap"].get("pgs_by_state", [])}
        short = {name: count for name, count in states.items() if not _SHORT.isdisjoint(name.split("+"))}
        if short:
            self.report["short"].append({"at": time.time(), "states": short})
        osds = status["osdmap"]
        self.report["most_down"] = max(self.report["most_down"], osds["num_osds"] - osds["num_up_osds"])
        self.report["most_degraded"] = max(self.report["most_degraded"], status["pgmap"].get("degraded_objects", 0))

    def _took(self, seconds: float) -> None:
        self.report["longest"] = max(self.report["longest"], round(seconds, 3))
        if seconds > _STALL:
            self.report["stalls"].append({"at": time.time() - seconds, "seconds": round(seconds, 3)})

    def _lost(self, name: str, how: str) -> None:
        if name not in {entry["object"] for entry in self.report["lost"]}:
            self.report["lost"].append({"at": time.time(), "object": name, "how": how})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", type=Path, required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between two writes (default: 0.1)")
    options = parser.parse_args()
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: ended.append(received))
    cluster = rados.Rados(conffile=str(options.conf), rados_id="admin", conf={"rados_osd_op_timeout": _TIMEOUT, "rados_mon_op_timeout": _MON_TIMEOUT})
    cluster.connect(timeout=60)
    writer = Writer(cluster, options.pool)
    began = looked = time.monotonic()
    number = 0
    while not ended:
        writer.write(number)
        number += 1
        if writer.confirmed and number % 5 == 0:
            writer.check(list(writer.confirmed)[number * 7 % len(writer.confirmed)])
        if time.monotonic() - looked > _LOOK:
            writer.look()
            looked = time.monotonic()
        if number == 1:
            print("writing", flush=True)
        time.sleep(options.interval)
    writer.check_all()
    writer.report["seconds"] = round(time.monotonic() - began, 1)
    temporary = options.report.with_suffix(".new")
    temporary.write_text(json.dumps(writer.report, indent=1))
    temporary.replace(options.report)


if __name__ == "__main__":
    main()
