# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server answers when it refuses, as exceptions; and which refusals are worth another try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, PlatformError


class ApiUnreachable(ConnectionFailed):
    """No answer from the API server: nothing listens, the network is down, or the answer broke off."""


class ApiError(PlatformError):
    """The API server refused a request. ``code`` is the HTTP status, ``reason`` the Status object's reason (NotFound, Conflict, ...)."""

    def __init__(
        self,
        what: str,
        *,
        code: int,
        reason: str = "",
        causes: Sequence[Mapping[str, Any]] = (),
        retry_after: float = 0.0,
        where: str = "",
        hint: str = "",
        named: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code
        self.reason = reason
        self.causes = tuple(causes)
        self.retry_after = retry_after
        # The object that the refusal is about: a namespace that is not there has a name, a kind that is not served has none.
        self.named = named

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def expired(self) -> bool:
        """The resourceVersion that a watch started from is no longer kept: list again."""
        return self.code == 410

    @property
    def temporary(self) -> bool:
        """The same request may well succeed later: too many requests, a server or a webhook that is not ready, a write that lost a race."""
        lost_race = self.code == 409 and self.reason != "AlreadyExists" and not self.field_conflicts and "Precondition failed" not in self.what
        # A new cluster's API server answers before it has made its own namespace.
        starting = self.code == 404 and self.what.startswith('namespaces "kube-system" not found')
        return lost_race or starting or (self.code in (429, 500, 502, 503, 504) and not self.unknown_field)

    @property
    def unknown_field(self) -> bool:
        """A field that the kind does not have, as far as this server knows its schema. A server-side apply is refused for it with a 500."""
        return _names_unknown_field(self.what)

    @property
    def webhook_unanswered(self) -> bool:
        """An admission or conversion webhook that guards the object does not answer, or not yet in a way that the API server trusts."""
        return self.code >= 500 and ("failed calling webhook" in self.what or "conversion webhook for" in self.what)

    @property
    def kind_missing(self) -> bool:
        """The server does not serve the kind (yet), as against an object or a namespace that is not there."""
        return self.code == 404 and not self.named

    @property
    def field_conflicts(self) -> list[FieldConflict]:
        """The fields that another manager owns, of a refused server-side apply."""
        return [
            FieldConflict(str(cause.get("field", "")), _quoted(str(cause.get("message", ""))))
            for cause in self.causes
            if cause.get("reason") == "FieldManagerConflict"
        ]


class FieldConflict(tuple[str, str]):
    """``field`` (path in the object) is owned by the field manager ``owner``."""

    __slots__ = ()

    def __new__(cls, field: str, owner: str) -> FieldConflict:
        return super().__new__(cls, (field, owner))

    @property
    def field(self) -> str:
        return self[0]

    @property
    def owner(self) -> str:
        return self[1]


def from_status(code: int, body: Any, *, request: str, where: str, retry_after: float = 0.0) -> ApiError:
    """The exception for a refused ``request`` ("PATCH /api/v1/..."). ``body`` is the answer: a Status object, or text from a proxy before the server."""
    if not isinstance(body, Mapping):
        return ApiError(f"{request} was answered {code}: {str(body).strip()[:500] or 'no text'}", code=code, where=where, retry_after=retry_after)
    details = body.get("details") or {}
    message = str(body.get("message") or f"{request} was answered {code}")
    asked = 0.0 if _INITIALIZING in message else retry_after or float(details.get("retryAfterSeconds") or 0)
    return ApiError(
        message,
        code=code,
        reason=str(body.get("reason") or ""),
        causes=details.get("causes") or (),
        retry_after=asked,
        where=where,
        hint=_UNKNOWN_FIELD_HINT if _names_unknown_field(message) else _HINTS.get(code, ""),
        named=str(details.get("name") or ""),
    )


# A server that is asked for a custom resource for the first time begins to cache its kind, which takes a tenth of the second that it asks for.
_INITIALIZING = "storage is (re)initializing"

_UNKNOWN_FIELD_HINT = "Correct the field's name, or take the field out; a newer version of the kind may have it."

_HINTS = {
    401: "The credentials in the kubeconfig are not accepted; renew them with playbooks/cluster.yml.",
    403: "The credentials in the kubeconfig do not allow this.",
}


def _names_unknown_field(message: str) -> bool:
    return "field not declared in schema" in message or "unknown field" in message


def _quoted(message: str) -> str:
    """The manager in a cause's message, 'conflict with "kubectl" using apps/v1'."""
    parts = message.split('"')
    return parts[1] if len(parts) > 2 else message
