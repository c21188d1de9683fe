# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered directory as it is delivered: which files are applied, which are hooks. Text is parsed only where that is needed to tell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.component import hooks, tree
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.sources import Manifest, split
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault


@dataclass(frozen=True)
class Contents:
    """``applied`` in the order of file names; ``hooks`` parsed; ``revision`` of all."""

    applied: Sequence[Manifest]
    hooks: Sequence[Object]
    revision: str

    def of_kind(self, *kinds: str) -> list[Object]:
        """The applied objects of these kinds. Only files whose text names the kind are parsed."""
        lines = [f"kind: {kind}\n" for kind in kinds]
        candidates = [manifest for manifest in self.applied if any(line in manifest.text for line in lines)]
        return [item for manifest in candidates for item in manifest.objects if item["kind"] in kinds]


def read(directory: str, *, password: str) -> Contents:
    """Read the files that component_render has written; encrypted ones are opened with the vault password. Raises InputError that names the file."""
    names = tree.listed(directory)
    if not names:
        raise InputError("there are no rendered files", where=directory, hint="Render the component first: trinode.platform.component_render.")
    texts = {name: _text(os.path.join(directory, name), password) for name in names}
    applied: list[Manifest] = []
    found: list[Object] = []
    for name, text in texts.items():
        for manifest in split(text, source=os.path.join(directory, name)):
            items = manifest.objects if hooks.ANNOTATION in text else []
            if any(hooks.is_hook(item) for item in items):
                found += items
            else:
                applied.append(manifest)
    return Contents(applied, found, tree.digest(texts))


def _text(path: str, password: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read: {error}", where=path) from error
    if not vault.is_vaulted(text):
        return text
    if not password:
        raise InputError(
            "the file is encrypted, and the run has no vault password", where=path, hint="Give the one it was rendered with (--vault-password-file)."
        )
    return vault.decrypt(text, password, where=path)
