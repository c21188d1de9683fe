# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph as its toolbox reaches it: questions in one go, and single commands."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import inquiry, parse
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.exec import Result, execute
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import condition, part

SELECTOR = "app=rook-ceph-tools"
INQUIRY_SECONDS = 10
"""Ceph answers within fractions of a second; where it does not, something is wrong that has to be told."""
_COMMAND_SECONDS = 60.0


class Toolbox:
    """The toolbox pod of a namespace. Any of its methods raises ConnectionFailed where there is none that runs, ApiError where we may not use it."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._pod = ""

    @property
    def where(self) -> str:
        return f"toolbox {self._namespace}/{self._pod or 'rook-ceph-tools'}"

    def inquire(self, deadline: Deadline, *, host: str = "", osds: Sequence[int] = ()) -> dict[str, Any]:
        """All that parse.py reads, as the inquiry answers it; with ``host`` (of the CRUSH map) and ``osds``, whether these may stop too."""
        request = {"questions": parse.QUESTIONS, "host": host, "osds": list(osds), "seconds": INQUIRY_SECONDS}
        result = self._run(["python3", "-c", inspect.getsource(inquiry), json.dumps(request)], deadline.at_most(INQUIRY_SECONDS * 2))
        try:
            answers = json.loads(result.output)
        except ValueError:
            said = (result.errors or result.output).strip().splitlines()[-1:] or [f"exit code {result.code}"]
            raise ConnectionFailed(f"Ceph cannot be asked: {said[0]}", where=self.where) from None
        return dict(answers)

    def ceph(self, arguments: Sequence[str], deadline: Deadline) -> str:
        """Run ``ceph`` with these arguments and return what it prints. Raises CommandError with its words when it refuses."""
        result = self._run(["ceph", "--connect-timeout", str(INQUIRY_SECONDS), *arguments], deadline.at_most(_COMMAND_SECONDS))
        if result.code:
            said = result.errors.strip().splitlines()[-1:] or [f"exit code {result.code}"]
            raise CommandError(f"`ceph {' '.join(arguments)}` failed: {said[0]}", where=self.where)
        return result.output

    def _run(self, command: Sequence[str], deadline: Deadline) -> Result:
        self._pod = self._found(deadline)
        return execute(self._client, self._namespace, self._pod, command, deadline)

    def _found(self, deadline: Deadline) -> str:
        pods, _version = self._client.list(f"/api/v1/namespaces/{self._namespace}/pods", {"labelSelector": SELECTOR}, deadline=deadline)
        running = [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            and part(pod, "status").get("phase") == "Running"
            # One on a machine that is away is not ready.
            and condition(part(pod, "status"), "Ready").get("status") == "True"
        ]
        if not running:
            raise ConnectionFailed(
                "there is no toolbox pod that is ready, through which Ceph could be asked",
                where=f"namespace {self._namespace}",
                hint="Look at the deployment rook-ceph-tools; playbooks/platform.yml --limit rook_ceph installs it.",
            )
        return str(running[0]["metadata"]["name"])
