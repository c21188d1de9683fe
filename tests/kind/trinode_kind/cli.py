"""The command line for kind clusters."""

from __future__ import annotations

import argparse
import json

from trinode_lab import commands, tools
from trinode_lab.errors import LabError

from trinode_kind import cluster
from trinode_kind.settings import Settings, load_settings, make_settings


def main() -> int:
    return commands.main(_parser())


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--name", help="name of the cluster (default: trinode, or TRINODE_KIND_NAME)")
    shared.add_argument("--network", help="its /24 of Docker's (default: 10.6.0.0/24, or TRINODE_KIND_NETWORK)")
    shared.add_argument("--state", help="its state directory (default: under XDG_STATE_HOME, or TRINODE_KIND_STATE)")
    parser = argparse.ArgumentParser(prog="kind", description="Clusters of kind with the lab's images and charts; see tests/kind/README.md")
    add = commands.commands(parser, "COMMAND", shared)
    add("build", lambda _: cluster.build(), "build the programs and images that are missing")
    up = add("up", _up, "bring a cluster up; its nodes become Ready with Cilium")
    up.add_argument("--control-planes", type=int, help="number of control planes: 1 (default), 3 or 5, with a load balancer before several")
    up.add_argument("--workers", type=int, help="number of workers (default 0)")
    add("down", lambda options: cluster.down(_settings(options)), "end and remove everything")
    add("status", _status, "what stands").add_argument("--json", action="store_true", help="everything that tests need to know")
    add("bin", lambda _: print(tools.user_programs()), "print the directory with kubectl and helm")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    return make_settings(options.name, options.network, getattr(options, "control_planes", None), getattr(options, "workers", None), options.state)


def _up(options: argparse.Namespace) -> None:
    cluster.up(_settings(options))


def _status(options: argparse.Namespace) -> None:
    wanted = _settings(options)
    found = load_settings(wanted)
    if found is None:
        raise LabError(f"the cluster {wanted.name} is not up ({wanted.state} has none); `kind up` brings it up")
    facts = cluster.describe(found)
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    print(f"cluster {facts['name']}  Kubernetes {facts['kubernetes_version'] or '(does not answer)'}  kubeconfig {facts['kubeconfig']}")
    for node in facts["nodes"]:
        role = "control plane" if node["control_plane"] else "worker"
        print(f"{node['name']:32} {node['address']:16} {role:14} {'Ready' if node['ready'] else 'NotReady'}")
