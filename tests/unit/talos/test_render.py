"""What render() refuses before it calls talosctl, and how it words what talosctl says."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.render import check_contract, render
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_errors import explain
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import RENDER_OPTIONS, with_defaults

PARSING = "error parsing config JSON patch: error decoding document"

GOOD = {
    "secrets_file": "/nonexistent/secrets.yaml",
    "cluster_name": "demo",
    "cluster_endpoint": "https://192.0.2.10:6443",
    "contract": "v1.13",
    "talos_version": "v1.13.8",
    "kubernetes_version": "v1.36.3",
    "hostname": "m1",
    "install_disk": {"serial": "S1"},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "m1, /nonexistent/secrets.yaml: the file does not exist"),
        ({"contract": "v1.14"}, r"m1, contract: the version contract 'v1\.14' is not supported\. Supported are v1\.12 and v1\.13"),
        ({"contract": "v1.11"}, "is not supported"),
        ({"contract": "1.13"}, "is not supported"),
        ({"contract": "v1.13", "talos_version": "v1.12.4"}, "newer than Talos v1.12.4, which would reject it"),
        ({"talos_version": "latest"}, "'latest' is not a version of Talos"),
        ({"kubernetes_version": "latest"}, "'latest' is not a version of Kubernetes"),
        ({"cluster_endpoint": "192.0.2.10"}, "'192.0.2.10' is not the URL of a Kubernetes API"),
        ({"cluster_endpoint": "https://192.0.2.10"}, "Write it like https://192.0.2.10:6443"),
        ({"cluster_endpoint": "https://192.0.2.10:port"}, "is not the URL"),
        ({"cluster_name": "--force"}, "'--force' is not a name of RFC 1123"),
        ({"hostname": "M_1"}, "M_1, hostname: 'M_1' is not a name of RFC 1123"),
        ({"installer_image": "example.com/installer:1", "extensions": ["siderolabs/iscsi-tools"]}, "no effect beside an installer image of one's own"),
        ({"patches": [{"layer": "all", "documents": ["- op: add"]}]}, "m1, patch layer 'all', document 1: a JSON patch"),
    ],
)
def test_refused_before_talosctl_is_called(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(with_defaults({**GOOD, **changes}), talosctl="/nonexistent/talosctl", deadline=Deadline(1))


def test_contracts() -> None:
    for contract, version in (("v1.12", "v1.13.8"), ("v1.13", "v1.13.0"), ("v1.13.2", "v1.14.0-rc.1")):
        check_contract(contract, version)


def test_defaults_are_complete_and_not_shared() -> None:
    options = with_defaults(GOOD)
    assert set(options) == set(RENDER_OPTIONS)
    options["patches"].append(1)
    assert with_defaults(GOOD)["patches"] == []


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            f"{PARSING} /v1alpha1/ (line 1): unknown keys found during decoding:\nmachine:\n    foo:\n        password: hunter2\n\n",
            "layer (machine and cluster): Talos does not know machine.foo.password. Check spelling and place against",
        ),
        (
            f'{PARSING} v1alpha1/HostnamConfig/ (line 3): "HostnamConfig" "v1alpha1": not registered\n',
            'layer (HostnamConfig, line 3): Talos does not accept this: "HostnamConfig" "v1alpha1": not registered. Check kind and apiVersion',
        ),
        (
            f"{PARSING} v1alpha1/LinkConfig/eth0 (line 1): error decoding  to *X: yaml: construct errors:\n  line 1: cannot construct !!str `x` into bool",
            "layer (LinkConfig eth0): Talos does not accept this: line 1: a text stands where bool is expected.",
        ),
        (
            "1 error occurred:\n\t* v1alpha1.Config: 2 errors occurred:\n\t* warning: a is deprecated\n\t* b is required\n\n\n",
            "layer: Talos does not accept this: a is deprecated; b is required.",
        ),
        (
            "generating PKI and tokens\nfailed to generate config bundle: error patching worker configs: patch delete: lookup failed\n",
            "layer: Talos does not accept this: patch delete: lookup failed. The patch deletes something that is not there.",
        ),
        ("invalid value c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\n", "layer: Talos does not accept this: invalid value <value>."),
    ],
)
def test_explain(stderr: str, expected: str) -> None:
    message = str(explain(stderr, where="layer"))
    assert message.startswith(expected)
    assert "hunter2" not in message
