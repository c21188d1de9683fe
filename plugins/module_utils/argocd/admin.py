# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The password of Argo CD's user admin: made to be the one in a Secret of ours, by Argo CD's own API through the API server's way to a service.

Argo CD keeps a hash of it only, so whoever wants to change it must know it. The first one is in a Secret that Argo CD makes when a server starts
and there is none; where nobody knows it any more, the hash is taken away, and one server is started anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import query, service_proxy
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.probe import Condition, await_conditions
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import Target
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

USER = "admin"
INITIAL = "argocd-initial-admin-secret"
SETTINGS = "argocd-secret"
_SERVER = "argocd-server"
_SERVER_PODS = "app.kubernetes.io/name=argocd-server"
_HASH_KEYS = ("admin.password", "admin.passwordMtime")
# Its own limit, by the setting passwordPattern.
SHORTEST, LONGEST = 8, 32
# Five wrong tries lock the user for five minutes, so a wrong one is not repeated at once.
_PAUSE = 3.0
_TRY_SECONDS = 20.0

Known = Literal["ours", "first", "none"]
Step = Literal["reset", "set", "forget"]


@dataclass(frozen=True)
class Place:
    """Where Argo CD is, and the Secret and its key with the password that admin is to have."""

    namespace: str
    secret: str
    key: str


def plan(accepted: Known, *, first_is_there: bool) -> list[Step]:
    """What is to be done, by which password Argo CD accepts: make it write a first one, set ours in its place, delete the first one's Secret."""
    before: dict[Known, list[Step]] = {"ours": [], "first": ["set"], "none": ["reset", "set"]}
    return [*before[accepted], "forget"] if accepted != "ours" or first_is_there else []


def ensure(client: Client, place: Place, deadline: Deadline, *, check: bool) -> list[Step]:
    """Make admin's password ours. Returns what was done, with ``check`` what would be."""
    return _Admin(client, place, deadline).ensure(check=check)


class _Admin:
    def __init__(self, client: Client, place: Place, deadline: Deadline) -> None:
        self._client = client
        self._place = place
        self._deadline = deadline
        self._secrets = f"/api/v1/namespaces/{place.namespace}/secrets"

    def ensure(self, *, check: bool) -> list[Step]:
        first = self._read(INITIAL, "password")
        ours = self._read(self._place.secret, self._place.key)
        if not ours:
            if check:
                return plan("first", first_is_there=True)
            ours = self._await(self._place.secret, self._place.key)
        if not SHORTEST <= len(ours) <= LONGEST:
            raise RefusedError(
                f"the password has {len(ours)} characters; Argo CD takes {SHORTEST} to {LONGEST}", where=f"Secret {self._place.namespace}/{self._place.secret}"
            )
        accepted, token = self._accepted(ours, first)
        steps = plan(accepted, first_is_there=bool(first))
        if check or not steps:
            return steps
        if "reset" in steps:
            first = self._reset(first)
            token = self._await_login(first)
        if "set" in steps:
            self._set(token, first, ours)
            progress("Argo CD's admin has the password of the platform")
        self._forget()
        return steps

    def _accepted(self, ours: str, first: str) -> tuple[Known, str]:
        """Which password Argo CD accepts, and a session. The first one is tried first where it is there: each wrong try counts."""
        tries: list[tuple[Known, str]] = [("first", first)] if first else []
        for known, password in [*tries, ("ours", ours)]:
            if token := self._login(password):
                return known, token
        return "none", ""

    def _login(self, password: str) -> str:
        """A session's token; "" where the password is wrong. What stands in the way for a moment is waited for."""
        status, answer = self._ask("POST", "/api/v1/session", {"username": USER, "password": password})
        if status == 200 and answer.get("token"):
            return str(answer["token"])
        text = _text(answer)
        if status == 401 and "disabled" not in text:
            return ""
        hint = "With argo_cd_admin_enabled false there is no such user." if status == 401 else ""
        raise RefusedError(f"no session for {USER}: {text or status}", where=self._where, hint=hint)

    def _await_login(self, password: str) -> str:
        """A session with a password that Argo CD has just made: each server learns of it by itself, and a lock after wrong tries takes five minutes."""
        while not (token := self._login(password)):
            self._deadline.check("Argo CD did not accept the first password that it has made", where=self._where, hint="Look at the log of argocd-server.")
            progress("Argo CD does not accept its new first password yet; after five wrong tries it takes none for five minutes")
            self._deadline.pause(_PAUSE)
        return token

    def _set(self, token: str, current: str, new: str) -> None:
        status, answer = self._ask("PUT", "/api/v1/account/password", {"currentPassword": current, "newPassword": new}, token)
        if status != 200:
            raise RefusedError(f"the password was not changed: {_text(answer) or status}", where=self._where)

    def _reset(self, stale: str) -> str:
        """Take the hash away, and have a server write a first password. Others go on meanwhile."""
        progress("Nobody knows the password of Argo CD's admin: it is reset")
        if stale:
            self._forget()
        self._send("PATCH", f"{self._secrets}/{SETTINGS}", {"data": dict.fromkeys(_HASH_KEYS)})
        path = f"/api/v1/namespaces/{self._place.namespace}/pods"
        pods, _version = retried(lambda: self._client.list(path, {"labelSelector": _SERVER_PODS}), self._deadline, _SERVER)
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[:1]:
            self._delete(f"{path}/{pod['metadata']['name']}")
        return self._await(INITIAL, "password")

    def _forget(self) -> None:
        self._delete(f"{self._secrets}/{INITIAL}")

    def _ask(self, method: str, path: str, body: Mapping[str, Any], token: str = "") -> tuple[int, dict[str, Any]]:
        """A request to Argo CD, until it answers. The API server takes a bearer token away, so the session goes as a browser's."""
        headers = {"Content-Type": "application/json", **({"Cookie": f"argocd.token={token}"} if token else {})}
        request = service_proxy.Request(self._place.namespace, _SERVER, "80", path, method=method, body=json.dumps(body).encode(), headers=headers)
        said = ""
        while True:
            try:
                status, text = service_proxy.exchange(self._client, request, self._deadline.at_most(_TRY_SECONDS))
                if status < 500:
                    return status, _decoded(text)
                problem = f"{self._where} answered {status}: {_text(_decoded(text))}"
            except (ApiError, ApiUnreachable) as error:
                if isinstance(error, ApiError) and error.code in (401, 403):
                    raise
                problem = str(error)
            except DeadlineExceeded as error:
                problem = str(error)
            if self._deadline.remaining <= _PAUSE:
                raise PlatformError(f"Argo CD's server does not answer: {problem}", hint="Look at the pods of argocd-server.")
            if problem != said:
                progress(f"asking again: {problem}")
                said = problem
            self._deadline.pause(_PAUSE)

    def _read(self, name: str, key: str) -> str:
        """A value of a Secret; "" where either is not there."""
        try:
            found = retried(lambda: self._client.get(f"{self._secrets}/{name}", deadline=self._deadline), self._deadline, name)
        except ApiError as error:
            if error.not_found:
                return ""
            raise
        return base64.b64decode((found.get("data") or {}).get(key, "")).decode()

    def _await(self, name: str, key: str) -> str:
        there = query.compile(f'data."{key}"', option="data")
        await_conditions(self._client, [Condition(Target("v1", "Secret", self._place.namespace, name), there)], self._deadline)
        return self._read(name, key)

    def _send(self, method: str, path: str, body: Any) -> None:
        params = {"fieldManager": FIELD_MANAGER}
        content_type = "application/merge-patch+json"
        retried(lambda: self._client.request(method, path, body, content_type=content_type, params=params, deadline=self._deadline), self._deadline, path)

    def _delete(self, path: str) -> None:
        try:
            retried(lambda: self._client.request("DELETE", path, deadline=self._deadline), self._deadline, path)
        except ApiError as error:
            if not error.not_found:
                raise

    @property
    def _where(self) -> str:
        return f"Service {self._place.namespace}/{_SERVER}"


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {"message": " ".join(text.decode("utf-8", "replace").split())[:300]}
    return found if isinstance(found, dict) else {}


def _text(answer: Mapping[str, Any]) -> str:
    """Argo CD's own words."""
    return str(answer.get("message") or answer.get("error") or "")
