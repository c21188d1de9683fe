# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component's directory: one object a file, under names that stay. Secrets are written encrypted, and only when they change."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.component import hooks, yaml_text
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.sealing import sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault

_SUFFIX = ".yaml"
# Left by a run that was killed while it wrote.
_PARTIAL = ".partial"
_LONGEST = 200


@dataclass(frozen=True)
class File:
    """One object as it is written. ``text`` is plain; ``secret`` says that it is written encrypted; ``hook`` whether it is one of helm's hooks.

    ``shown`` is what a person sees of it in place of the text.
    """

    name: str
    key: Key
    text: str
    secret: bool
    hook: bool
    shown: str = ""


@dataclass(frozen=True)
class Change:
    """A file that differs. ``before`` and ``after`` are plain texts, "" where there is no file; secrets are not in them."""

    name: str
    before: str
    after: str


def files(objects: Iterable[Object], resealed: Mapping[Key, Mapping[str, str]] | None = None) -> list[File]:
    """The files of these objects, by name. ``resealed`` says of SealedSecrets which values were sealed anew, and why."""
    by_name: dict[str, list[Object]] = {}
    for item in objects:
        by_name.setdefault(_name(key_of(item)), []).append(item)
    found = []
    for name, items in by_name.items():
        for item in items:
            # Two kinds of one name in different groups, or names that differ in what a file name cannot hold.
            unique = name if len(items) == 1 else f"{name}-{hashlib.sha256(repr(key_of(item)).encode()).hexdigest()[:8]}"
            shown = sealed_secret.shown(item, (resealed or {}).get(key_of(item), {})) if item["kind"] == sealed_secret.KIND else ""
            found.append(File(unique + _SUFFIX, key_of(item), yaml_text.text(item), is_secret(item), hooks.is_hook(item), shown))
    return sorted(found, key=lambda file: file.name)


def is_secret(item: Mapping[str, object]) -> bool:
    """Whether the object is a Secret that holds something."""
    return item.get("kind") == "Secret" and item.get("apiVersion") == "v1" and bool(item.get("data") or item.get("stringData"))


def revision(wanted: Sequence[File]) -> str:
    """A digest of all content: equal for equal objects, whatever encryption made of them."""
    return digest({file.name: file.text for file in wanted})


def digest(texts: Mapping[str, str]) -> str:
    """As ``revision``, of plain texts by file name."""
    found = hashlib.sha256()
    for name, text in sorted(texts.items()):
        found.update(f"{name}\0{text}\0".encode())
    return found.hexdigest()


def write(directory: str, wanted: Sequence[File], *, base: str, password: str) -> list[Change]:
    """Make the directory hold these files and no other of ours. Returns what differs from the directory ``base``, which may be the same.

    Each file appears whole or not at all; a run that was killed is completed by the next one. Raises RefusedError when there are secrets and no password.
    """
    if not password and (secrets := [file for file in wanted if file.secret]):
        raise RefusedError(
            f"{', '.join(str(file.key) for file in secrets)} would be written in clear",
            hint="Give the run a vault password (--vault-password-file): such files are encrypted. Or let a value name a Secret that exists already.",
        )
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        changes = [change for file in wanted if (change := _write_one(directory, file, base, password))]
        names = {file.name for file in wanted}
        changes += [Change(name, _shown(_read(os.path.join(base, name)), ""), "") for name in listed(base) if name not in names]
        for entry in os.listdir(directory):
            if entry.endswith(_PARTIAL) or (entry.endswith(_SUFFIX) and entry not in names):
                os.unlink(os.path.join(directory, entry))
    except OSError as error:
        raise InputError(f"the rendered files cannot be written: {error.strerror}", where=error.filename or directory) from error
    return sorted(changes, key=lambda change: change.name)


def listed(directory: str) -> list[str]:
    """The names of the component's files in a directory, which need not exist."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(_SUFFIX) and not name.startswith("."))
    except FileNotFoundError:
        return []


def digests(directory: str) -> dict[str, str]:
    """Of each file in the directory: a digest of its bytes."""
    found = {}
    for name in listed(directory):
        with open(os.path.join(directory, name), "rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write_one(directory: str, file: File, base: str, password: str) -> Change | None:
    """Write the file unless it is there with this content. Returns how it differs from the one in ``base``."""
    there = _read(os.path.join(base, file.name))
    plain = _decrypted(there, password) if file.secret and vault.is_vaulted(there) else there
    same = plain == file.text and (not file.secret or vault.is_vaulted(there))
    path = os.path.join(directory, file.name)
    content = there if same else vault.encrypt(file.text, password) if file.secret else file.text
    if not (same and directory == base):
        with open(path + _PARTIAL, "w", encoding="utf-8") as output:
            output.write(content)
        os.replace(path + _PARTIAL, path)
    if same:
        return None
    return Change(file.name, _shown(there, plain), "Secret, encrypted\n" if file.secret else file.shown or file.text)


def _shown(there: str, plain: str) -> str:
    """What a person may see of a file: nothing of a secret."""
    if vault.is_vaulted(there):
        return "Secret, encrypted with other content\n"
    if _is_of_kind(sealed_secret.KIND, there):
        return _shown_sealed(there)
    return "" if not there else there if not _is_of_kind("Secret", plain or there) else "Secret\n"


def _shown_sealed(text: str) -> str:
    try:
        return sealed_secret.shown(yaml.safe_load(text), {})
    except (yaml.YAMLError, TypeError, AttributeError):
        return f"{sealed_secret.KIND}, damaged\n"


def _is_of_kind(kind: str, text: str) -> bool:
    return bool(re.search(rf"^kind: {kind}$", text, re.MULTILINE))


def _decrypted(text: str, password: str) -> str:
    """The plain text, or "" where the password does not open it: the file is then made anew, since all in it comes from the inventory."""
    try:
        return vault.decrypt(text, password, where="rendered secret")
    except PlatformError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _name(key: Key) -> str:
    """The file's name without its suffix: kind, namespace and name, in letters that every file system takes."""
    parts = [key.kind.lower(), key.namespace, key.name]
    name = re.sub(r"[^a-z0-9.-]", "_", "-".join(part for part in parts if part).lower())
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
