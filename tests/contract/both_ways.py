"""Runs tasks both ways, inside the worker and ordinarily, and gives back what a playbook would register.

ansible-playbook is that of the Python that runs the tests, so each supported ansible-core is tested in its own environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
WAYS = ("in_process", "ordinary")
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"


@dataclass(frozen=True)
class Case:
    """One task: a module's full name, its arguments, and keywords of the task such as ``check_mode``.

    ``{way}`` in an argument becomes the name of the way, so that the two do not share a file.
    """

    name: str
    module: str
    arguments: dict[str, Any]
    keywords: dict[str, Any] = field(default_factory=dict)


def surroundings(directory: Path) -> dict[str, str]:
    """The environment of a playbook run: our collection from the checkout beside the tests' own, temporary files in ``directory``."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{CHECKOUT}/.collections:{CHECKOUT}/tests/contract/collections",
        "ANSIBLE_LOCAL_TEMP": str(directory / "local"),
        "ANSIBLE_REMOTE_TEMP": str(directory / "remote"),
        "ANSIBLE_DEPRECATION_WARNINGS": "true",
        "LC_ALL": "C.UTF-8",
    }


def run(cases: list[Case], directory: Path, play_keywords: dict[str, Any] | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Run the cases in one playbook and return the registered results as ``results[way][case]``."""
    tasks: list[dict[str, Any]] = []
    for index, case in enumerate(cases):
        arguments = json.loads(json.dumps(case.arguments).replace("{way}", "{{ inventory_hostname }}"))
        tasks.append({"name": case.name, case.module: arguments, "register": f"case_{index}", "ignore_errors": True, **case.keywords})
    registered = ", ".join(f"{json.dumps(case.name)}: case_{index}" for index, case in enumerate(cases))
    write = {"dest": f"{directory}/{{{{ inventory_hostname }}}}.json", "content": f"{{{{ {{{registered}}} | to_json }}}}", "mode": "0600"}
    tasks.append({"name": "Write what was registered", "ansible.builtin.copy": write, "check_mode": False, "diff": False})
    play = {"hosts": "all", "gather_facts": False, "tasks": tasks, **(play_keywords or {})}
    hosts = {way: {"ansible_connection": "local", "trinode_in_process": way == "in_process"} for way in WAYS}
    for name in (*WAYS, "remote"):
        (directory / name).mkdir(exist_ok=True, mode=0o700)
    (directory / "play.json").write_text(json.dumps([play]))
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    outcome = subprocess.run(
        [PLAYBOOK, "-i", directory / "hosts.json", directory / "play.json"],
        cwd=CHECKOUT,
        env=surroundings(directory),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-3000:]
    assert "errantly sent data" not in outcome.stderr + outcome.stdout
    results = {}
    for way in WAYS:
        text = (directory / f"{way}.json").read_text().replace(f"{directory}/{way}", f"{directory}/WAY")
        results[way] = json.loads(text)
    return results


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """The result without what names the process or how long it took: an ordinary module's output, the Python that was found for it, measured seconds."""
    facts = {name: value for name, value in result.get("ansible_facts", {}).items() if name != "discovered_interpreter_python"}
    found = {**{name: value for name, value in result.items() if name != "ansible_facts"}, **({"ansible_facts": facts} if facts else {})}
    return dict(_timeless(found))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "" if key == "seconds" else _timeless(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_timeless(entry) for entry in value]
    # Ours says seconds, curl milliseconds.
    return re.sub(r"\b\d+\.\d s\b|\bafter \d+ ms\b", "0.0 s", value) if isinstance(value, str) else value
