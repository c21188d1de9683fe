# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What talosctl says against a configuration, turned into one readable error without any value of the configuration in it. Pure."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import load_all

_NOISE = re.compile(
    r"(error parsing config JSON patch|failed to generate config bundle|error patching (control plane |worker )?configs"
    r"|error decoding document [^:]*\(line \d+\)|error decoding +to \*?[\w.]+|v1alpha1\.Config|yaml|construct errors):( |$)"
)
_WRONG_TYPE = re.compile(r"cannot construct !!(\w+)(?: <value>)? into (\S+)")
_YAML_TYPES = {"seq": "a list", "map": "a mapping", "str": "a text", "int": "a number", "float": "a number", "bool": "true or false"}
_DOCUMENT = re.compile(r"error decoding document (?P<document>[^ ]*) \(line (?P<line>\d+)\)")
_UNKNOWN_KEYS = "unknown keys found during decoding:\n"
_HINTS = (
    ("static hostname is already set", "Set the name by the machine's hostname, and take machine.network.hostname out of the patches."),
    ("not registered", "Check kind and apiVersion against Talos's reference of machine configuration documents for this version."),
    ("'auto' and 'hostname'", "The host name is set by the machine's hostname; take HostnameConfig out of the patches."),
    ("lookup failed", "The patch deletes something that is not there."),
)


def explain(stderr: str, *, where: str) -> InputError:
    """The error for what talosctl printed; ``where`` says which patch brought it about."""
    text = stderr.replace("generating PKI and tokens\n", "").strip()
    document = _DOCUMENT.search(text)
    if document:
        label = " ".join(part for part in document["document"].split("/")[1:] if part and part != "v1alpha1") or "machine and cluster"
        # A mapping reaches talosctl as one line, so only in YAML text of several lines the number says something.
        place = label if document["line"] == "1" else f"{label}, line {document['line']}"
        where = f"{where} ({place})" if where else place
    if _UNKNOWN_KEYS in text:
        unknown = _key_paths(text.split(_UNKNOWN_KEYS, 1)[1])
        return InputError(
            f"Talos does not know {', '.join(unknown) or 'a key of this document'}",
            where=where,
            hint="Check spelling and place against Talos's reference of the machine configuration.",
        )
    problems = _bullets(text) or [problem for line in text.splitlines() if (problem := _without_noise(line))]
    what = "; ".join(dict.fromkeys(_without_values(problem) for problem in problems))
    hint = next((hint for sign, hint in _HINTS if sign in what), "")
    return InputError(f"Talos does not accept this: {what}", where=where, hint=hint)


def _bullets(text: str) -> list[str]:
    """The leaves of Go's nested ``N errors occurred: * ...`` lists."""
    found = [line.strip().removeprefix("* ") for line in text.splitlines() if line.strip().startswith("* ")]
    return [_without_noise(problem).removeprefix("warning: ") for problem in found if not re.search(r"\d+ errors? occurred:$", problem)]


def _without_noise(line: str) -> str:
    """The line without the prefixes that talosctl's layers put before it; empty when there is nothing else."""
    line = line.strip()
    while match := _NOISE.match(line):
        line = line[match.end() :]
    return line


def _without_values(line: str) -> str:
    """Without what may be a secret (scalars quoted by the YAML decoder, long strings of base64), and in words for users of YAML."""
    line = re.sub(r"(?<![\w./:-])[A-Za-z0-9+/=_-]{40,}(?![\w.])", "<value>", re.sub(r"`[^`]*`", "<value>", line))
    return _WRONG_TYPE.sub(lambda match: f"{_YAML_TYPES.get(match[1], match[1])} stands where {match[2]} is expected", line)


def _key_paths(yaml_text: str) -> list[str]:
    """The dotted paths of a YAML fragment's leaves, without their values."""
    try:
        documents = load_all(yaml_text, where="")
    except InputError:
        return []
    paths: list[str] = []
    for document in documents:
        _collect(document, "", paths)
    return paths


def _collect(value: Any, path: str, paths: list[str]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else str(key), paths)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            _collect(item, f"{path}[]", paths)
    elif path:
        paths.append(path)
