# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running helm's hooks as helm does: in their order, each to its end, deleted when their policy says so."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.hooks import Hook
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known, Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.health import Health
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.readiness import READY, Readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_ASK_SECONDS = 10.0
_LINES = 5
_BEFORE = "before-hook-creation"
_SUCCEEDED = "hook-succeeded"
_FAILED = "hook-failed"


def run(access: Access, event: str, hooks: Sequence[Hook]) -> None:
    """Run the hooks of an event, given in their order. Raises PlatformError that names the hook when one fails; none after it has run then."""
    for hook in hooks:
        progress(f"running the {event} hook {hook.key}")
        item = access.place(hook.item)
        if _BEFORE in hook.delete:
            access.delete([item])
        [made] = apply.apply(access.client, [item], Request(force=True, wait=False), access.deadline)
        if hook.runs:
            _await_end(access, event, hook, made.after or item)
    access.delete([access.place(hook.item) for hook in hooks if _SUCCEEDED in hook.delete])


def _await_end(access: Access, event: str, hook: Hook, item: Object) -> None:
    try:
        if hook.item["kind"] == "Pod":
            _await_pod(access, item)
        else:
            wait.until_ready(access.client, [item], access.resources, access.deadline)
    except PlatformError as error:
        hint = " ".join(text for text in (error.hint, _last_words(access, item)) if text)
        if _FAILED in hook.delete:
            with contextlib.suppress(PlatformError):
                access.delete([item])
        raise type(error)(f"the {event} hook failed: {error.what}", where=error.where or str(hook.key), hint=hint) from error


def _await_pod(access: Access, item: Object) -> None:
    """Until the pod has ended well. One that is ready has not ended."""
    key = key_of(item)
    collection = Collection(access.resources["v1", "Pod"].path(key.namespace))

    def judge(known: Known) -> Readiness:
        pod = known.items(collection).get((key.namespace, key.name))
        phase = ((pod or {}).get("status") or {}).get("phase") or "Pending"
        if pod is None or phase == "Failed":
            return Readiness("failed", "it was deleted" if pod is None else str(pod["status"].get("message") or "the pod failed"))
        return READY if phase == "Succeeded" else Readiness("progressing", f"it is {phase}")

    goal = Goal(str(key), collection, judge, (key.namespace, key.name))
    Pursuit(access.client, [goal], access.deadline, aim="ended", observer=Health(access.client, [key.namespace])).run()


def _last_words(access: Access, item: Object) -> str:
    """The last lines that the hook's newest pod has printed; empty where none can be had."""
    key = key_of(item)
    pods = access.resources["v1", "Pod"].path(key.namespace)
    try:
        names = [key.name]
        if key.kind != "Pod":
            found, _version = access.client.list(pods, {"labelSelector": f"batch.kubernetes.io/job-name={key.name}"}, deadline=Deadline(_ASK_SECONDS))
            names = [pod["metadata"]["name"] for pod in sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))]
        if not names:
            return ""
        status, body = access.client.exchange(f"{pods}/{names[-1]}/log", (("tailLines", str(_LINES)),), deadline=Deadline(_ASK_SECONDS))
    except PlatformError:
        return ""
    lines = [line.strip() for line in body.decode("utf-8", "replace").splitlines() if line.strip()]
    return f"Pod {names[-1]} said: {' | '.join(lines)}" if status == 200 and lines else ""
