# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD needs to read the user's repository: the credentials, and whom to trust. Pure.

They are resources of the component argo_cd. The two ConfigMaps are the chart's: values of it, so that an object has one author.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import NAMESPACE
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object

NAME = "platform-repository"
TYPE_LABEL = "argocd.argoproj.io/secret-type"


def repository_secret(url: str, *, username: str = "", token: str = "", ssh_key: str = "") -> Object:
    """The Secret that tells Argo CD how to read the repository. One that anybody may read needs no more than its URL."""
    data = {"type": "git", "url": url}
    if is_ssh(url):
        if not ssh_key:
            raise InputError("an SSH repository needs a private key", where=url, hint="Set trinode_git_ssh_key.")
        # OpenSSH refuses a key without its last line break.
        data["sshPrivateKey"] = ssh_key.rstrip() + "\n"
    elif token:
        data |= {"username": username or "git", "password": token}
    metadata = {"name": NAME, "namespace": NAMESPACE, "labels": {TYPE_LABEL: "repository"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": data}


def trust_values(url: str, *, known_hosts: str = "", ca: str = "") -> dict[str, Any]:
    """Values of the chart: the host's key for SSH, the certificate authority for https. They end in the ConfigMaps that all of Argo CD mounts."""
    values: dict[str, Any] = {}
    if known_hosts and is_ssh(url):
        values["ssh"] = {"extraHosts": known_hosts.strip() + "\n"}
    host = urlsplit(url).hostname
    if ca and host and not is_ssh(url):
        values["tls"] = {"certificates": {host: ca.strip() + "\n"}}
    return {"configs": values} if values else {}


def is_ssh(url: str) -> bool:
    """Both ways to write it: ssh://user@host/path and user@host:path."""
    return url.startswith("ssh://") or ("://" not in url and "@" in url.partition(":")[0])


def shown(secret: Mapping[str, Any]) -> list[str]:
    """The values of such a Secret that nobody may see."""
    return [str(value) for name, value in (secret.get("stringData") or {}).items() if name in ("password", "sshPrivateKey")]
