# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the toolbox, with the Python of its ``ceph``: all questions over one connection, where each call of ``ceph`` would cost half a second.

Its argument is JSON: ``questions`` [[name, command], …] with commands as Ceph's own clients send them ({"prefix": "osd dump"}); ``host`` of the CRUSH map,
whose OSDs Ceph is to judge whether they may stop; ``osds`` to judge in the same way, and whether they may be destroyed; ``seconds`` for all together.
It prints {name: {"code": 0 or an error number, "output": text, "error": text}}; what was not answered in time is missing, and ``problem`` says what
kept it from asking at all. The Python there may be as old as 3.9.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any

Answers = dict[str, Any]


def inquire(request: Any, answers: Answers) -> None:
    """Ask everything, in order, and leave the answers in ``answers``."""
    try:
        rados = importlib.import_module("rados")
        cluster = rados.Rados(conffile="")
        cluster.conf_parse_env()
        cluster.conf_set("rados_mon_op_timeout", str(request["seconds"]))
        cluster.connect(timeout=request["seconds"])
    except Exception as error:  # noqa: BLE001  whatever it is, the one who asks has to be told
        answers["problem"] = f"{type(error).__name__}: {error}"
        return
    for name, command in request["questions"]:
        answers[name] = _ask(cluster.mon_command, command)
    osds = [str(osd) for osd in request.get("osds") or []]
    if request.get("host"):
        found = _ask(cluster.mon_command, {"prefix": "osd ls-tree", "name": request["host"]})
        # A host without OSDs is not in the map.
        osds += [str(osd) for osd in json.loads(found["output"] or "[]")] if found["code"] == 0 else []
    if osds:
        answers["ok_to_stop"] = _ask(cluster.mgr_command, {"prefix": "osd ok-to-stop", "ids": osds})
        answers["safe_to_destroy"] = _ask(cluster.mgr_command, {"prefix": "osd safe-to-destroy", "ids": osds})


def _ask(send: Any, command: Any) -> Answers:
    try:
        code, output, error = send(json.dumps({**command, "format": "json"}), b"")
    except Exception as failure:  # noqa: BLE001
        return {"code": 1, "output": "", "error": f"{type(failure).__name__}: {failure}"}
    return {"code": code, "output": output.decode(errors="replace"), "error": error if isinstance(error, str) else error.decode(errors="replace")}


def main(argument: str) -> None:
    request = json.loads(argument)
    answers: Answers = {}
    asking = threading.Thread(target=inquire, args=(request, answers), daemon=True)
    asking.start()
    # A manager that is away answers never, and no signal gets through to one who waits for it.
    asking.join(request["seconds"])
    sys.stdout.write(json.dumps(answers))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
