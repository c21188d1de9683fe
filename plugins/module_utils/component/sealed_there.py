# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a component's secrets is there already: sealed in its files, sealed in the cluster, and as Secrets in the cluster. Asked only where it is needed."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.component import tree
from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import COMPONENT_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, reference
from ansible_collections.trinode.platform.plugins.module_utils.sealing import sealed_secret


class Places:
    """``directory`` has the component's files; ``kubeconfig`` is empty where no cluster is to be asked. With ``lenient`` one that does not answer has nothing.

    Otherwise it must answer: values that it has would be made up anew.
    """

    def __init__(self, component: str, directory: str, kubeconfig: str, deadline: Deadline, *, lenient: bool) -> None:
        self._component = component
        self._directory = directory
        self._kubeconfig = kubeconfig
        self._deadline = deadline
        self._lenient = lenient

    def sealed(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The SealedSecret among the files, else the one in the cluster."""
        if found := self._files.get((namespace, name)):
            return found
        return self._read(Key(sealed_secret.API_VERSION, sealed_secret.KIND, namespace, name))

    def values(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """The values of the Secret in the cluster, if it is this component's, or may be taken over."""
        item = self._read(Key("v1", "Secret", namespace, name))
        if item is None or not may_take(item, self._component):
            return {}
        return {key: base64.b64decode(text or "") for key, text in (item.get("data") or {}).items()}

    @cached_property
    def _files(self) -> Mapping[tuple[str, str], Object]:
        found: dict[tuple[str, str], Object] = {}
        for file in tree.listed(self._directory):
            if file.startswith(f"{sealed_secret.KIND.lower()}-"):
                item = _parsed(os.path.join(self._directory, file))
                metadata = item.get("metadata")
                if item.get("kind") == sealed_secret.KIND and isinstance(metadata, Mapping):
                    found[str(metadata.get("namespace")), str(metadata.get("name"))] = item
        return found

    def _read(self, key: Key) -> Object | None:
        return self._access.read(reference(key)) if self._access else None

    @cached_property
    def _access(self) -> Access | None:
        """The cluster; None where there is none."""
        if not self._kubeconfig:
            return None
        try:
            client = connect(self._kubeconfig, "", self._deadline)
            if self._lenient:
                client.get("/version")
        except (MissingKubeconfigError, ApiUnreachable):
            return None
        return Access(client, "", self._deadline)

    def close(self) -> None:
        if access := self.__dict__.get("_access"):
            access.client.close()


def may_take(secret: Mapping[str, Any], component: str) -> bool:
    """Whether a SealedSecret of this component may own the Secret: it was generated for the component, is owned by a SealedSecret, or says so itself."""
    metadata = secret["metadata"]
    if (metadata.get("labels") or {}).get(COMPONENT_LABEL) == component:
        return True
    return owned(secret) or (metadata.get("annotations") or {}).get(sealed_secret.MANAGED) == "true"


def owned(secret: Mapping[str, Any]) -> bool:
    """Whether the Secret came of a SealedSecret."""
    return any(owner.get("kind") == sealed_secret.KIND for owner in secret["metadata"].get("ownerReferences") or [])


def _parsed(path: str) -> Object:
    """What a file holds; nothing where it is damaged: it is made anew then."""
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
