# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_delete against a real kube-apiserver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import kube_delete

pytestmark = pytest.mark.newest_only

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
KYVERNO = {"api_version": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "selector": "webhook.kyverno.io/managed-by=kyverno"}


def delete(kubeconfig: Path, *targets: dict[str, str], check: bool = False, timeout: int = 300) -> Outcome:
    filled = [{"namespace": "", "name": "", "selector": "", **target} for target in targets]
    params: dict[str, Any] = {"kubeconfig": str(kubeconfig), "context": "", "timeout": timeout, "targets": filled}
    return kube_delete.run(Task(params, check_mode=check, diff_mode=False, warn=print))


def config_map(client: kube_client.Client, name: str, **metadata: Any) -> None:
    client.request("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": name, **metadata}})


def names(client: kube_client.Client, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in client.list(path)[0]}


def test_what_a_selector_finds_is_deleted_once(kubeconfig: Path, client: kube_client.Client) -> None:
    for name, labels in (("kyverno-a", {"webhook.kyverno.io/managed-by": "kyverno"}), ("other", {})):
        client.request("POST", WEBHOOKS, {"metadata": {"name": name, "labels": labels}})
    predicted = delete(kubeconfig, KYVERNO, check=True)
    assert predicted.changed
    assert {"kyverno-a", "other"} <= names(client, WEBHOOKS)
    done = delete(kubeconfig, KYVERNO)
    assert done.changed
    assert done.values == predicted.values == {"deleted": ["ValidatingWebhookConfiguration kyverno-a"]}
    assert "kyverno-a" not in names(client, WEBHOOKS)
    assert "other" in names(client, WEBHOOKS)
    again = delete(kubeconfig, KYVERNO)
    assert not again.changed
    assert again.values == {"deleted": []}


def test_a_name_in_a_namespace_and_a_kind_that_is_not_served(kubeconfig: Path, client: kube_client.Client) -> None:
    config_map(client, "one")
    config_map(client, "two")
    wanted = {"api_version": "v1", "kind": "ConfigMap", "namespace": "default", "name": "one"}
    outcome = delete(kubeconfig, wanted, {**wanted, "name": "missing"}, {"api_version": "example.org/v1", "kind": "Nothing", "name": "x"})
    assert outcome.values == {"deleted": ["ConfigMap default/one"]}
    assert "two" in names(client, "/api/v1/namespaces/default/configmaps")


def test_it_says_what_is_still_there(kubeconfig: Path, client: kube_client.Client) -> None:
    config_map(client, "held", finalizers=["example.org/held"])
    with pytest.raises(DeadlineExceeded, match="held"):
        delete(kubeconfig, {"api_version": "v1", "kind": "ConfigMap", "namespace": "default", "name": "held"}, timeout=2)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"kind": "ConfigMap", "namespace": "default"}, "neither a name nor a selector"),
        ({"kind": "ConfigMap", "namespace": "default", "name": "a", "selector": "a=b"}, "both a name and a selector"),
        ({"kind": "ConfigMap", "selector": "a=b"}, "no namespace"),
    ],
)
def test_a_target_that_could_mean_too_much_is_refused(kubeconfig: Path, target: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        delete(kubeconfig, {"api_version": "v1", **target})
