# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that the user adds: commands of this computer, and Jobs in the cluster."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.look import Result, measured
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.readiness import readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import Target, goal

LABEL = "trinode.dev/gate"
"""On every Job that the gate makes."""
_LINES = 5
_REMOVAL_SECONDS = 30.0
# What is left where even the removal is interrupted goes by itself.
_KEPT_SECONDS = 600
# A check that failed is not run with every look.
AGAIN_SECONDS = 10.0
LEAST_SECONDS = 5.0


@dataclass(frozen=True)
class Command:
    """A program on this computer. An exit code other than 0 is a finding; the last lines of its standard error say why."""

    name: str
    argv: Sequence[str]
    seconds: float


@dataclass(frozen=True)
class Job:
    """A Job that is made for the time of the check. One that fails is a finding; the last lines of its pod's log say why."""

    name: str
    namespace: str
    manifest: Mapping[str, Any]
    seconds: float


def run(check: Command | Job, sources: Sources, deadline: Deadline) -> Result:
    """One check of the user's."""
    limit = deadline.at_most(check.seconds)
    name = f"command {check.name}" if isinstance(check, Command) else f"job {check.name}"
    return measured(name, lambda: _command(name, check, sources, limit) if isinstance(check, Command) else _job(name, check, sources, limit), sources.policy)


class UserChecks:
    """The user's checks in a series of looks: one that passed stays so until ``forget``, one that failed is run again after a while."""

    def __init__(self, checks: Sequence[Command | Job], *, allowed: bool = True) -> None:
        self._checks = checks
        self._allowed = allowed
        self._passed: dict[int, Result] = {}
        self._failed: dict[int, tuple[Result, Deadline]] = {}

    def look(self, sources: Sources, deadline: Deadline, *, others_pass: bool) -> list[Result]:
        """Run what is due; nothing as long as other checks do not pass, or in check mode."""
        if not self._allowed or not others_pass:
            self._passed.clear()
            why = "runs when all other checks pass" if self._allowed else "is not run in check mode"
            return [Result(f"{'command' if isinstance(check, Command) else 'job'} {check.name}", why, asked=False) for check in self._checks]
        return list(each(lambda number: self._one(number, sources, deadline), range(len(self._checks))))

    def _one(self, number: int, sources: Sources, deadline: Deadline) -> Result:
        if number in self._passed:
            return self._passed[number]
        # With no time left it could only fail for that, and what it said before says more.
        if number in self._failed and (not self._failed[number][1].expired or deadline.remaining < LEAST_SECONDS):
            return self._failed[number][0]
        result = run(self._checks[number], sources, deadline)
        if result.errors:
            self._failed[number] = (result, Deadline(AGAIN_SECONDS))
        else:
            self._passed[number] = result
        return result


def _command(name: str, check: Command, sources: Sources, limit: Deadline) -> Result:
    environment = {"KUBECONFIG": sources.kubeconfig, "TALOSCONFIG": sources.talosconfig, "TRINODE_GATE_PLANNED_LOSS": sources.policy.planned_loss}
    try:
        done = command.run(check.argv, deadline=limit, environment=environment)
    except CommandError as error:
        return Result(name, "did not end" if limit.expired else "did not start", (Finding(name, "this computer", error.what, error.hint),))
    if done.returncode == 0:
        return Result(name, _last(done.stdout, 1) or "exit code 0")
    said = _last(done.stderr) or _last(done.stdout)
    problem = f"exit code {done.returncode}" + (f": {said}" if said else "")
    return Result(name, f"exit code {done.returncode}", (Finding(name, "this computer", problem, "It is a check of yours (trinode_gate_commands)."),))


def _job(name: str, check: Job, sources: Sources, limit: Deadline) -> Result:
    client = sources.client(limit)
    with _made(client, check, limit) as job:
        made = str(job["metadata"]["name"])
        target = Target("batch/v1", "Job", check.namespace, made)
        try:
            Pursuit(client, [goal(target, _JOBS, lambda _known, item: _ended(item))], limit, aim="done").run()
            state = readiness(client.get(_JOBS.path(check.namespace, made), deadline=Deadline(_REMOVAL_SECONDS)))
        except DeadlineExceeded:
            state = Readiness("failed", f"it did not end within {limit.seconds:.0f} s")
        if state.ready:
            return Result(name, f"Job {check.namespace}/{made} succeeded")
        said = _log(client, check.namespace, made)
        problem = state.reason + (f"; its log: {said}" if said else "")
        return Result(name, "failed", (Finding(name, f"{check.namespace}/{made}", problem, "It is a check of yours (trinode_gate_jobs)."),))


_JOBS = Resource("batch/v1", "Job", "jobs", True)


def _ended(item: Json) -> Readiness:
    state = readiness(item)
    # A Job that has failed has ended, too.
    return READY if state.state == "failed" else state


@contextmanager
def _made(client: Client, check: Job, limit: Deadline) -> Iterator[Json]:
    """The Job is there inside, and gone with its pods afterwards."""
    job = client.request("POST", _JOBS.path(check.namespace), manifest(check), deadline=limit)
    try:
        yield job
    finally:
        path = _JOBS.path(check.namespace, str(job["metadata"]["name"]))
        # What cannot be removed goes by itself, and what it found matters more.
        with suppress(PlatformError):
            client.request("DELETE", path, {"propagationPolicy": "Background"}, deadline=Deadline(_REMOVAL_SECONDS))


def manifest(check: Job) -> dict[str, Any]:
    """The Job as it is made: with a name of its own for each run, an end, and no second try."""
    item = copy.deepcopy(dict(check.manifest))
    if item.get("kind", "Job") != "Job":
        raise InputError(f"a manifest of kind {item.get('kind')} where a Job is needed", where=f"trinode_gate_jobs, {check.name}")
    metadata = dict(item.get("metadata") or {})
    for key in ("name", "namespace", "generateName"):
        metadata.pop(key, None)
    metadata["generateName"] = f"gate-{check.name}-"
    metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: "true"}
    ends = {"backoffLimit": 0, "activeDeadlineSeconds": max(1, int(check.seconds)), "ttlSecondsAfterFinished": _KEPT_SECONDS}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {**ends, **(item.get("spec") or {})}}


def _log(client: Client, namespace: str, job: str) -> str:
    """The last lines of its pods; nothing where they cannot be read."""
    deadline, said = Deadline(_REMOVAL_SECONDS), []
    try:
        pods, _version = client.list(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": f"job-name={job}"}, deadline=deadline)
        for pod in pods:
            path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/log"
            code, body = client.exchange(path, [("tailLines", str(_LINES))], deadline=deadline)
            if code == 200:
                said.append(_last(body.decode("utf-8", "replace")))
    except PlatformError:
        pass
    return " / ".join(text for text in said if text)


def _last(text: str, lines: int = _LINES) -> str:
    """The last lines, as one."""
    return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])
