"""The lab's Git server and Argo CD, for the tests: what they hold, and what somebody else does to them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driver import Lab

Application = dict[str, Any]


def applications(lab: Lab) -> dict[str, Application]:
    items = json.loads(lab.kubectl("-n", "argocd", "get", "applications.argoproj.io", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}


def unwell(lab: Lab, *, user: bool = False) -> dict[str, str]:
    """The Applications that are not Synced and Healthy; with ``user``, the user's among them.

    What an overloaded Argo CD could not judge says Unknown until it looks again; it is told to, once.
    """
    found = _unwell(lab, user)
    unknown = [name for name, state in found.items() if "Unknown" in state]
    for name in unknown:
        lab.kubectl("-n", "argocd", "annotate", "--overwrite", "applications.argoproj.io", name, "argocd.argoproj.io/refresh=normal")
    end = time.monotonic() + 60
    while unknown and time.monotonic() < end:
        time.sleep(2)
        found = _unwell(lab, user)
        unknown = [name for name in unknown if "Unknown" in found.get(name, "")]
    return found


def _unwell(lab: Lab, user: bool) -> dict[str, str]:
    found = {}
    for name, item in applications(lab).items():
        status = item.get("status", {})
        state = f"{status.get('sync', {}).get('status')} {status.get('health', {}).get('status')}"
        if state != "Synced Healthy" and (user or not name.startswith("user-")):
            found[name] = state
    return found


def operations(lab: Lab) -> dict[str, str]:
    """When the last sync of each Application began; "" where there was none."""
    return {name: item.get("status", {}).get("operationState", {}).get("startedAt", "") for name, item in applications(lab).items()}


def git(lab: Lab, *arguments: str) -> str:
    """Git on the server's own repository."""
    return _git("--git-dir", str(lab.state / "git" / "repositories" / "platform.git"), *arguments)


def subjects(lab: Lab) -> list[str]:
    """The first lines of all commits, newest first."""
    return git(lab, "log", "--format=%s", "main").splitlines()


def files(lab: Lab) -> dict[str, str]:
    """All files of the branch, by their paths."""
    with tempfile.TemporaryDirectory() as directory:
        _git("clone", "--quiet", str(lab.state / "git" / "repositories" / "platform.git"), directory)
        return {str(path.relative_to(directory)): path.read_text() for path in Path(directory).rglob("*.yaml")}


def push(lab: Lab, files: Mapping[str, str | None], message: str = "By hand") -> str:
    """Somebody else's commit: files with these texts, or None for gone."""
    with tempfile.TemporaryDirectory() as directory:
        _git("clone", "--quiet", lab.command("git-url", "somebody").strip(), directory)
        for name, text in files.items():
            place = Path(directory, name)
            if text is None:
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
        _git("-C", directory, "add", "--all")
        _git("-C", directory, "commit", "--quiet", "-m", message)
        _git("-C", directory, "push", "--quiet", "origin", "main")
        return _git("-C", directory, "rev-parse", "HEAD").strip()


def managers(item: Mapping[str, Any]) -> set[str]:
    """Who has written fields of an object, its status left out."""
    return {entry["manager"] for entry in item["metadata"]["managedFields"] if entry.get("subresource") != "status"}


def _git(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    person = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.org"))}
    environment |= {**person, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
