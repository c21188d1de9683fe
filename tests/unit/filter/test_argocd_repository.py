# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.argocd_repository import argocd_repository

GIT = {"url": "https://git.example.org/me/platform.git", "username": "git", "token": "a token", "ssh_key": "", "known_hosts": "", "ca": "PEM"}


def test_a_secret_in_argo_cds_namespace_and_whom_to_trust() -> None:
    found = argocd_repository(GIT, namespace="delivery")
    (secret,) = found["objects"]
    assert secret["metadata"] == {"name": "platform-repository", "namespace": "delivery", "labels": {"argocd.argoproj.io/secret-type": "repository"}}
    assert secret["stringData"] == {"type": "git", "url": GIT["url"], "username": "git", "password": "a token"}
    assert found["values"] == {"configs": {"tls": {"certificates": {"git.example.org": "PEM\n"}}}}


def test_nothing_without_gitops() -> None:
    assert argocd_repository({**GIT, "url": ""}, namespace="argocd", enabled=False) == {"objects": [], "values": {}}
