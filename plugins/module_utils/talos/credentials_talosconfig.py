# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""talosconfig: the client configuration of talosctl. Reading and comparing; credentials.py writes it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError


@dataclass(frozen=True)
class ClientContext:
    """The context of a talosconfig that is in use. ``authorities`` and ``certificate`` are PEM text."""

    name: str
    endpoints: tuple[str, ...]
    nodes: tuple[str, ...]
    authorities: str
    certificate: str


def parse_talosconfig(text: str, *, where: str) -> ClientContext:
    """The current context. Raises InputError, which names the file, when there is none or it lacks a certificate."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError("not valid YAML", where=where) from error
    contexts = document.get("contexts") if isinstance(document, dict) else None
    name = str(document.get("context", "")) if isinstance(document, dict) else ""
    context = contexts.get(name) if isinstance(contexts, dict) else None
    if not isinstance(context, dict):
        raise InputError("this talosconfig has no current context", where=where, hint="Remove the file and run the cluster play, which writes it anew.")
    return ClientContext(name, _texts(context, "endpoints"), _texts(context, "nodes"), _pem(context, "ca", where), _pem(context, "crt", where))


def read_talosconfig(path: str | None) -> ClientContext | None:
    """The current context of the file; None when no path is given or the file does not exist (yet)."""
    if not path:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return parse_talosconfig(file.read(), where=path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}", where=path) from error


def require_talosconfig(path: str) -> ClientContext:
    """As read_talosconfig, where nothing works without it."""
    context = read_talosconfig(path)
    if context is None:
        raise InputError("the talosconfig does not exist", where=path, hint="Run the cluster play, which writes it (talos_credentials).")
    return context


def _texts(context: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = context.get(key)
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _pem(context: Mapping[str, Any], key: str, where: str) -> str:
    try:
        text = base64.b64decode(str(context.get(key, "")), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise InputError(f"the field {key} of the talosconfig holds no certificate", where=where, hint="Remove the file and run the cluster play.")
    return text
