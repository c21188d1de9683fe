# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads blocks of machines' disks, which Talos's API does not give, in a pod on each machine.

The pod comes of a Job that ends by itself after a time and is removed by Kubernetes some time after that, so a run that is killed leaves nothing; a run
that goes on removes it itself. It is on the machines' network and takes every taint, since it may run before there is a network for pods.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.look import Bytes
from ansible_collections.trinode.platform.plugins.module_utils.disks.signatures import BLOCK
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube import api_errors, probe
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_NAME = "trinode-disk-look"
_PLACE = "/devices"
# What a killed run leaves goes after this; long enough to read what the pod printed.
_KEPT_SECONDS = 900
# A kubelet of a new cluster shows what pods print once its certificate is approved.
_PRINTED_SECONDS = 600.0
_LONGEST_NAME = 63
# One line of JSON a disk. dd opens for reading only; where it fails, it is asked once more for its words.
_SCRIPT = """\
export LC_ALL=C
while [ $# -gt 1 ]; do
  path=$1; blocks=; error=; comma=
  for block in $2; do
    bytes=$(dd if="$path" bs=4096 skip="$block" count=1 2>/dev/null | base64 -w 0)
    [ -n "$bytes" ] || error=$(dd if="$path" bs=4096 skip="$block" count=1 2>&1 >/dev/null | head -n 1 | tr -d '"\\\\')
    blocks="$blocks$comma\\"$block\\":\\"$bytes\\""
    comma=,
  done
  printf '{"path":"%s","error":"%s","blocks":{%s}}\\n' "$path" "$error" "$blocks"
  shift 2
done
"""

Wanted = Mapping[str, Mapping[str, Sequence[int]]]
"""By node, by path below the directory of devices (``disk/by-id/...``): the offsets of blocks."""


def read(client: Client, wanted: Wanted, *, namespace: str, image: str, directory: str, deadline: Deadline) -> dict[tuple[str, str], Bytes]:
    """What is there, by node and path, from all nodes at once. ``directory`` of the machines has their devices. PlatformError where a node fails."""
    jobs = {node: job(node, paths, image=image, directory=directory, seconds=max(1, int(deadline.remaining))) for node, paths in wanted.items()}
    found: dict[tuple[str, str], Bytes] = {}
    with probe.present(client, probe.Probe(objects=list(jobs.values()), namespace=namespace), deadline):
        for node, made in jobs.items():
            printed = _printed(client, namespace, made["metadata"]["name"], deadline.at_most(_PRINTED_SECONDS))
            found |= {(node, path): content for path, content in parsed(printed).items()}
    progress(f"read the places of {len(found)} disks that Talos does not look at")
    return found


def job(node: str, paths: Mapping[str, Sequence[int]], *, image: str, directory: str, seconds: int) -> dict[str, Any]:
    """The Job that reads these blocks on a node."""
    operands = [text for path, offsets in paths.items() for text in (f"{_PLACE}/{path}", " ".join(str(offset // BLOCK) for offset in offsets))]
    container = {
        "name": "look",
        "image": image,
        "command": ["sh", "-c", _SCRIPT, "sh", *operands],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        # Only a privileged container may open the devices of its machine.
        "securityContext": {"privileged": True, "runAsUser": 0, "readOnlyRootFilesystem": True},
        # Not in the place of the container's own /dev, where the container runtime makes files.
        "volumeMounts": [{"name": "devices", "mountPath": _PLACE, "readOnly": True}],
    }
    pod = {
        "nodeName": node,
        "hostNetwork": True,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "devices", "hostPath": {"path": directory}}],
    }
    spec = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": seconds,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "template": {"metadata": {"labels": {"app.kubernetes.io/name": _NAME}}, "spec": pod},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": _name(node)}, "spec": spec}


def _name(node: str) -> str:
    """A name for the node's Job that fits into a label."""
    name = f"{_NAME}-{node}"
    return name if len(name) <= _LONGEST_NAME and "." not in name else f"{_NAME}-{hashlib.sha256(node.encode()).hexdigest()[:16]}"


def _printed(client: Client, namespace: str, name: str, deadline: Deadline) -> str:
    """What the Job's pod printed; the Job has ended well. An earlier Job of the same name may still have a pod."""
    where = f"Job {namespace}/{name}"
    made = retried(partial(client.get, f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", deadline=deadline), deadline, where)
    selector = {"labelSelector": f"batch.kubernetes.io/controller-uid={made['metadata']['uid']}"}
    pods, _version = retried(partial(client.list, f"/api/v1/namespaces/{namespace}/pods", selector, deadline=deadline), deadline, where)
    done = [pod["metadata"]["name"] for pod in pods if (pod.get("status") or {}).get("phase") == "Succeeded"]
    if not done:
        raise ConnectionFailed("its pod is gone before it could be read what it printed", where=where, hint="Run again.")
    try:
        return retried(partial(_log, client, namespace, done[0], deadline), deadline, where)
    except DeadlineExceeded as error:
        hint = "A kubelet gives that once its certificate is approved, which the component kubelet_csr_approver does."
        raise DeadlineExceeded(f"what its pod printed cannot be read: {error.what}", where=where, hint=hint) from error


def _log(client: Client, namespace: str, pod: str, deadline: Deadline) -> str:
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    status, body = client.exchange(path, deadline=deadline)
    if status != 200:
        try:
            told: Any = json.loads(body)
        except ValueError:
            told = body.decode("utf-8", "replace")
        raise api_errors.from_status(status, told, request=f"GET {path}", where=client.server)
    return body.decode("utf-8", "replace")


def parsed(printed: str) -> dict[str, Bytes]:
    """What a pod printed, by path. A line that is no whole one is left out: its disk then counts as not read."""
    found = {}
    for line in printed.splitlines():
        try:
            entry = json.loads(line)
            blocks = {int(number) * BLOCK: base64.b64decode(text, validate=True) for number, text in entry["blocks"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            continue
        found[str(entry["path"]).removeprefix(f"{_PLACE}/")] = Bytes(blocks, str(entry.get("error", "")))
    return found
