"""The repository, the vaulted secrets and the inventory are all that it takes to build the platform again, on other machines."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import gitops
import pytest
from driver import Lab

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

COMPONENTS = ("gateway_api", "prometheus_operator_crds", "cilium", "kubelet_csr_approver", "sealed_secrets", "argo_cd", "grafana")


def password(lab: Lab) -> str:
    """One that was made up at the first installation."""
    found = lab.kubectl("-n", "grafana", "get", "secret", "grafana-admin", "-o", "jsonpath={.data.admin-password}")
    return base64.b64decode(found).decode()


def known(lab: Lab) -> dict[str, gitops.Application]:
    """The Applications; none as long as there is no cluster, or no Argo CD."""
    try:
        return gitops.applications(lab)
    except (subprocess.SubprocessError, ValueError):
        return {}


def some_exist(lab: Lab) -> bool:
    return len(known(lab)) >= len(COMPONENTS) // 2


def some_act(lab: Lab) -> bool:
    return any((item["spec"].get("syncPolicy") or {}).get("automated") for item in known(lab).values())


def test_the_repository_rebuilds_the_platform_on_other_machines(lab: Lab, tmp_path: Path) -> None:
    first = lab.playbook("site.yml", components=COMPONENTS)
    assert first.returncode == 0, first.output
    assert gitops.unwell(lab) == {}
    before, head = password(lab), gitops.git(lab, "rev-parse", "main").strip()
    kept = {name: lab.state / name for name in ("vault-password", "cluster/sealing-keys.yaml")}
    assert kept["cluster/sealing-keys.yaml"].read_text().startswith("$ANSIBLE_VAULT")
    for name, path in kept.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(path, tmp_path / name)
    shutil.copytree(lab.state / "git" / "repositories" / "platform.git", tmp_path / "platform.git")
    # The server outlives the cluster: its passwords stay as they are.
    shutil.copytree(lab.state / "git" / "users", tmp_path / "users")

    lab.again()
    for name, path in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tmp_path / name, path)
    shutil.copytree(tmp_path / "users", lab.state / "git" / "users", dirs_exist_ok=True)
    gitops.git(lab, "fetch", "--quiet", str(tmp_path / "platform.git"), "+refs/heads/*:refs/heads/*")
    # Killed in the middle of the handover, too: with some of the Applications made, and with some of them acting.
    for moment in (some_exist, some_act):
        assert lab.killed_playbook("site.yml", 900, once=lambda moment=moment: moment(lab), components=COMPONENTS)
        assert moment(lab)
    again = lab.playbook("site.yml", components=COMPONENTS)
    assert again.returncode == 0, again.output
    assert gitops.unwell(lab) == {}
    assert password(lab) == before, "nothing was made up anew"
    assert gitops.git(lab, "log", "--patch", f"{head}..main") == "", "the repository had all of it"
