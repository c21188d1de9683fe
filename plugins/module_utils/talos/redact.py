# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machine configurations without their secrets, for diffs, messages and logs. Pure.

Talos's own redaction (SecretDocument.Redact) knows the fields that Talos defines; users also put secrets into files, environments, URLs and manifests,
so this goes by names and content, and hides rather too much than too little. A hidden value leaves no hash behind: a registry's password could be
guessed from one. That it changed is said instead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

REDACTED = "<redacted>"
CHANGED = "<redacted, changed>"

_MISSING: Any = object()

_SECRET_NAME = re.compile(
    r"secret|passw(or)?d|passphrase|token|credential|authorization|headers$"
    r"|(private|preshared|pre[-_]shared|shared|api|auth|access|signing|encryption|join)[-_]?key|^(auth|key|psk|pin)$",
    re.IGNORECASE,
)
# Names that only speak of a secret: where it lies, how long it lasts, how it is used.
_ABOUT_A_SECRET = re.compile(
    r"(file|files|path|dir|name|ttl|enabled|disabled|duration|audiences?|expiration|timeout|type|kind|provider|issuer)$", re.IGNORECASE
)
_FREE_TEXT = frozenset({"content", "contents"})
"""Files, extensions' configuration, inline manifests: what they hold is not ours to judge."""
_ENVIRONMENT = frozenset({"env", "environment"})
_URL_USER = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s]+@")
_URL_QUERY = re.compile(r"([?&][^=&#\s]*(?:token|secret|passw|key|sig|credential)[^=&#\s]*=)[^&#\s]+", re.IGNORECASE)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")


def redact(document: Any) -> Any:
    """A copy of a document (or any part of one) without secrets; certificates become their SHA-256 fingerprints."""
    return _walk(document, _MISSING, _Place())[0]


def redact_pair(before: Any, after: Any) -> tuple[Any, Any]:
    """Copies of two versions of a document without secrets; a secret that differs reads CHANGED on the second side."""
    return _walk(before, after, _Place())


def redact_text(text: str) -> str:
    """A line of text without private keys, and without users, passwords and tokens in URLs."""
    return _mask_text(text)


def secrets_in(value: Any) -> set[str]:
    """The texts that ``redact`` would change: secrets, and whatever holds one. Those of less than five characters would only mask everything else."""
    found: set[str] = set()
    _collect(value, _Place(), found)
    return {text for text in found if len(text) > 4}


class _Place:
    """Where a value stands: under which key, beside which others, and whether something above it made all of it secret."""

    def __init__(self, key: str = "", siblings: Mapping[str, Any] | None = None, secret: bool = False, environment: bool = False) -> None:
        self.key, self.siblings, self.secret, self.environment = key, siblings or {}, secret, environment

    def inside(self, key: str, siblings: Mapping[str, Any]) -> _Place:
        secret = self.secret or _names_secret(key, siblings) or (siblings.get("kind") == "Secret" and key in ("data", "stringData"))
        return _Place(key, siblings, secret, key in _ENVIRONMENT)


def _walk(before: Any, after: Any, place: _Place) -> tuple[Any, Any]:
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        return _walk_mapping(before, after, place)
    if isinstance(before, list) or isinstance(after, list):
        return _walk_list(before, after, place)
    masked_before, masked_after = _mask(before, place), _mask(after, place)
    if before is not _MISSING and after is not _MISSING and before != after and masked_before == masked_after:
        masked_after = str(masked_after).replace("<redacted", "<redacted, changed")
    return masked_before, masked_after


def _walk_mapping(before: Any, after: Any, place: _Place) -> tuple[Any, Any]:
    if not all(isinstance(side, Mapping) or side is _MISSING for side in (before, after)):
        return _walk(before, _MISSING, place)[0], _walk(_MISSING, after, place)[1]
    sides: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
    left: Mapping[Any, Any] = {} if before is _MISSING else before
    right: Mapping[Any, Any] = {} if after is _MISSING else after
    for key in dict.fromkeys([*left, *right]):
        # What stands beside a key decides whether it is secret; the stricter side counts for both.
        places = [place.inside(str(key), side) for side in (left, right) if key in side]
        inner = next((candidate for candidate in places if candidate.secret), places[0])
        for index, value in enumerate(_walk(left.get(key, _MISSING), right.get(key, _MISSING), inner)):
            if value is not _MISSING:
                sides[index][key] = value
    return (_MISSING if before is _MISSING else _in_order(sides[0], left)), (_MISSING if after is _MISSING else _in_order(sides[1], right))


def _walk_list(before: Any, after: Any, place: _Place) -> tuple[Any, Any]:
    if not all(isinstance(side, list) or side is _MISSING for side in (before, after)):
        return _walk(before, _MISSING, place)[0], _walk(_MISSING, after, place)[1]
    left: list[Any] = [] if before is _MISSING else before
    right: list[Any] = [] if after is _MISSING else after
    pairs = [
        _walk(left[index] if index < len(left) else _MISSING, right[index] if index < len(right) else _MISSING, place)
        for index in range(max(len(left), len(right)))
    ]
    return (
        _MISSING if before is _MISSING else [pair[0] for pair in pairs[: len(left)]],
        _MISSING if after is _MISSING else [pair[1] for pair in pairs[: len(right)]],
    )


def _collect(value: Any, place: _Place, found: set[str]) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(inner, place.inside(str(key), value), found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, place, found)
    elif "<redacted" in str(_mask(value, place)):
        found.add(str(value))


def _in_order(values: Mapping[Any, Any], like: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: values[key] for key in like}


def _mask(value: Any, place: _Place) -> Any:
    if value is _MISSING or value is None or isinstance(value, bool) or value == "":
        return value
    if not isinstance(value, str):
        return REDACTED if place.secret else value
    return _certificates(value) or (REDACTED if place.secret else _mask_string(value, place))


def _mask_string(value: str, place: _Place) -> str:
    if place.key in _FREE_TEXT:
        count = len(value.splitlines())
        return f"<redacted, {count} line{'' if count == 1 else 's'}>"
    if place.environment and "=" in value:
        return f"{value.partition('=')[0]}={REDACTED}"
    return _mask_text(value)


def _mask_text(text: str) -> str:
    if _is_private_key(text):
        return REDACTED
    return _URL_QUERY.sub(rf"\1{REDACTED}", _URL_USER.sub(rf"\1{REDACTED}@", text))


def _names_secret(key: str, siblings: Mapping[str, Any]) -> bool:
    if key == "value":
        # name and value, as in a container's environment
        name = siblings.get("name")
        return isinstance(name, str) and _is_secret_name(name)
    if key == "key" and {"operator", "effect"} & set(siblings):
        return False  # a selector or a taint
    return _is_secret_name(key)


def _is_secret_name(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _ABOUT_A_SECRET.search(name)


def _is_private_key(text: str) -> bool:
    return "PRIVATE KEY-----" in text or "PRIVATE KEY-----" in _decoded(text)


def _certificates(text: str) -> str:
    """The fingerprints of the certificates that a text, or the base64 in it, consists of; empty when it is something else or holds a private key."""
    pem = text if "-----BEGIN " in text else _decoded(text)
    if "PRIVATE KEY-----" in pem or not _CERTIFICATE.search(pem) or _CERTIFICATE.sub("", pem).strip():
        return ""
    fingerprints = []
    for match in _CERTIFICATE.finditer(pem):
        try:
            fingerprints.append(f"sha256:{hashlib.sha256(base64.b64decode(match[1])).hexdigest()[:32]}")
        except binascii.Error:
            return ""
    return f"<certificate {', '.join(fingerprints)}>"


def _decoded(text: str) -> str:
    """What base64 of a PEM file stands for, else nothing."""
    if not text.startswith("LS0t"):  # "---"
        return ""
    try:
        return base64.b64decode(text, validate=True).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return ""
