"""What cannot be read is part of the view, never an exception: the gate then counts it as wrong."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import judge_etcd, judge_nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, read


def test_without_credentials_everything_is_a_finding(tmp_path: Path) -> None:
    talosctl = tmp_path / "talosctl"
    talosctl.write_text("#!/bin/sh\necho 'failed to determine endpoints: no context is set' >&2\nexit 1\n")
    talosctl.chmod(0o755)
    sources = Sources(["etcd", "nodes"], [], ["192.0.2.1"], str(talosctl), str(tmp_path / "talosconfig"), str(tmp_path / "kubeconfig"))
    view = read(sources, Deadline(5))
    assert view.etcd[0].problem
    assert [finding.where for finding in judge_etcd(view.etcd, voters=1)] == ["192.0.2.1", "cluster"]
    assert "does not exist" in judge_nodes(view.nodes, view.nodes_problem, expected=[])[0].problem
