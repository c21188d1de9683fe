# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest warnings about objects, for messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client

_SHOWN = 3
_SECONDS = 10.0


def newest(client: Client, namespace: str, names: Collection[str], said: str = "") -> str:
    """A sentence with the newest warnings about objects of these names; empty when there are none or the server does not tell.

    Events of cluster-scoped objects (``namespace`` is "") lie in the namespace default. What ``said`` holds already is left out.
    """
    path = f"/api/v1/namespaces/{namespace or 'default'}/events"
    try:
        found, _version = client.list(path, {"fieldSelector": "type=Warning"}, deadline=Deadline(_SECONDS))
    except PlatformError:
        return ""
    lines = told(found, names, said)
    return f"Newest events: {' | '.join(lines)}" if lines else ""


def refused_pods(client: Client, namespace: str, kind: str, name: str) -> str:
    """Why admission forbids a workload's pods (a quota, Pod Security), as its controller tells; empty where it does not."""
    selector = f"reason=FailedCreate,involvedObject.kind={kind},involvedObject.name={name}"
    try:
        found, _version = client.list(f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": selector}, deadline=Deadline(_SECONDS))
    except PlatformError:
        return ""
    # A webhook that does not answer refuses too, but not for long.
    messages = [str(event.get("message", "")) for event in sorted(found, key=_time) if "is forbidden" in str(event.get("message", ""))]
    return messages[-1].strip() if messages else ""


def told(events: Iterable[Mapping[str, Any]], names: Collection[str], said: str = "") -> list[str]:
    """The last few different messages about these objects, oldest first, that ``said`` does not hold yet."""
    about = [event for event in events if _subject(event).get("name") in names]
    about.sort(key=_time)
    # A kubelet's event is a word and the container's own message, which may have been told already: "Error: ImagePullBackOff".
    lines = {
        f"{_subject(event).get('kind')} {_subject(event).get('name')}: {message}": None
        for event in about
        if (message := str(event.get("message", "")).strip()) and (message.partition(": ")[2] or message) not in said
    }
    return list(lines)[-_SHOWN:]


def _subject(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return event.get("involvedObject") or {}


def _time(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
