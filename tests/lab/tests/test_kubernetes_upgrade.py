"""An upgrade of Kubernetes that is killed where it hurts: the next run goes on, and the virtual address stays in service."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from driver import Lab
from rolls import KUBERNETES, MACHINES, kubelets, talosctl
from watchers import API_SECONDS, Api

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

PLAYBOOK = "playbooks/upgrade_kubernetes.yml"
WANTED = {"trinode_kubernetes_version": KUBERNETES}


def sharing(lab: Lab) -> tuple[str, ...]:
    """The machines that have the virtual address in their configuration."""
    return tuple(name for name in MACHINES if "kind: Layer2VIPConfig" in talosctl(lab, name, "get", "machineconfig", "v1alpha1", "-o", "yaml"))


@dataclass
class Giving:
    """Whether a machine has just left the virtual address out of its configuration, to give it away."""

    lab: Lab
    machine: str = field(default="", init=False)

    def __call__(self) -> bool:
        left = set(MACHINES) - set(sharing(self.lab))
        self.machine = next(iter(left), "")
        return bool(left)


def test_killed_while_the_address_moves(cluster: Lab) -> None:
    assert sharing(cluster) == MACHINES
    giving = Giving(cluster)
    assert cluster.killed_playbook(PLAYBOOK, 900, once=giving, variables=WANTED), "it was done before anybody gave the address away"
    with Api(cluster) as endpoint, Api(cluster, machines=True) as api:
        rest = cluster.playbook(PLAYBOOK, variables=WANTED)
    assert rest.returncode == 0, rest.output
    assert sharing(cluster) == MACHINES, f"{giving.machine} has it back"
    assert kubelets(cluster) == dict.fromkeys(MACHINES, KUBERNETES)
    assert api.unanswered == 0
    assert endpoint.longest() < API_SECONDS
    for playbook in (PLAYBOOK, "site.yml"):
        again = cluster.playbook(playbook, variables=WANTED)
        assert (again.returncode, again.total("changed")) == (0, 0), again.output
