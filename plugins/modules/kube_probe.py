#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_probe
short_description: Prove that something in a Kubernetes cluster does its job
version_added: 1.0.0
description:
  - Makes O(manifests) and O(objects) and waits until they are ready; then waits until every condition of O(until) is true, every service of O(http)
    answers as it has to, and every bucket of O(buckets) gives back what was written to it; then goes on with O(then). In the end, and after a failure too,
    what was made is removed again, and the task returns when it is gone.
  - Nothing is changed for good, so the task never reports a change.
author:
  - trinode.platform contributors (@trinode)
options:
  manifests:
    description: Objects to make for the time of the probe, as YAML text with any number of documents.
    type: str
    default: ""
  objects:
    description:
      - Objects to make for the time of the probe, as data.
      - They get the label C(trinode.dev/probe). What an earlier probe could not remove is removed first; an object of the same name without that label is
        somebody else's, and the task fails before anything is made.
    type: list
    elements: dict
    default: []
  namespace:
    description: Namespace of the objects that name none, and of the entries of O(until) and O(http) that name none. It is not created.
    type: str
    default: default
  until:
    description: Conditions that objects have to come to. An object, and its kind, may appear meanwhile.
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: The object's apiVersion.
        type: str
        required: true
      kind:
        description: The object's kind.
        type: str
        required: true
      namespace:
        description: The object's namespace.
        type: str
        default: ""
      name:
        description: The object's name. Empty means every object of the kind in the namespace, and there has to be one.
        type: str
        default: ""
      condition:
        description: JMESPath over the object. It is true unless it finds nothing, C(false), or something empty.
        type: str
        required: true
  http:
    description: Services to ask, by C(GET), through the API server. Each is asked again until its answer is right.
    type: list
    elements: dict
    default: []
    suboptions:
      namespace:
        description: The service's namespace.
        type: str
        default: ""
      service:
        description: The service's name.
        type: str
        required: true
      port:
        description: Number or name of the service's port.
        type: str
        required: true
      scheme:
        description: How the service is spoken to. The API server does not check certificates of services.
        type: str
        choices: [http, https]
        default: http
      path:
        description: Path, with the query where there is one.
        type: str
        default: /
      status:
        description: HTTP status that the answer has to have.
        type: int
        default: 200
      expect:
        description: JMESPath over the JSON body that has to be true.
        type: str
        default: ""
      contains:
        description: Text that has to be in the body.
        type: str
        default: ""
  buckets:
    description:
      - Buckets to try, by the C(ObjectBucketClaim) that they came of. An object is written, read, compared and deleted through the API server, signed with
        the keys of the claim's Secret.
      - The claim may be one of O(objects). Its store has to be a service of the cluster that speaks HTTP.
    type: list
    elements: dict
    default: []
    suboptions:
      claim:
        description: The claim's name, which its ConfigMap and its Secret have too.
        type: str
        required: true
      namespace:
        description: The claim's namespace.
        type: str
        default: ""
  then:
    description:
      - Further steps, each begun when everything before it is proven, while all that was made is still there. What a step makes is removed before what the
        steps before it made.
    type: list
    elements: dict
    default: []
    suboptions:
      objects:
        description: As O(objects).
        type: list
        elements: dict
        default: []
      until:
        description: Conditions that objects have to come to. An object, and its kind, may appear meanwhile.
        type: list
        elements: dict
        default: []
        suboptions:
          api_version:
            description: The object's apiVersion.
            type: str
            required: true
          kind:
            description: The object's kind.
            type: str
            required: true
          namespace:
            description: The object's namespace.
            type: str
            default: ""
          name:
            description: The object's name. Empty means every object of the kind in the namespace, and there has to be one.
            type: str
            default: ""
          condition:
            description: JMESPath over the object. It is true unless it finds nothing, C(false), or something empty.
            type: str
            required: true
      http:
        description: Services to ask, by C(GET), through the API server. Each is asked again until its answer is right.
        type: list
        elements: dict
        default: []
        suboptions:
          namespace:
            description: The service's namespace.
            type: str
            default: ""
          service:
            description: The service's name.
            type: str
            required: true
          port:
            description: Number or name of the service's port.
            type: str
            required: true
          scheme:
            description: How the service is spoken to. The API server does not check certificates of services.
            type: str
            choices: [http, https]
            default: http
          path:
            description: Path, with the query where there is one.
            type: str
            default: /
          status:
            description: HTTP status that the answer has to have.
            type: int
            default: 200
          expect:
            description: JMESPath over the JSON body that has to be true.
            type: str
            default: ""
          contains:
            description: Text that has to be in the body.
            type: str
            default: ""
      buckets:
        description:
          - Buckets to try, by the C(ObjectBucketClaim) that they came of. An object is written, read, compared and deleted through the API server, signed with
            the keys of the claim's Secret.
          - The claim may be one of O(objects). Its store has to be a service of the cluster that speaks HTTP.
        type: list
        elements: dict
        default: []
        suboptions:
          claim:
            description: The claim's name, which its ConfigMap and its Secret have too.
            type: str
            required: true
          namespace:
            description: The claim's namespace.
            type: str
            default: ""
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
requirements:
  - jmespath (Python package), for O(until) and O(http[].expect)
attributes:
  check_mode:
    support: full
    details:
      - Nothing is made, and nothing is written to a bucket. Where objects would be made, only the conditions of O(until) on other objects are waited for, since
        the rest may be about them. O(then) is left out.
      - Where O(kubeconfig) does not exist, or the API server does not answer, there is nothing to prove yet, and the task says so.
  diff_mode:
    support: N/A
    details: It changes nothing for good.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Metrics of every node arrive
  trinode.platform.kube_probe:
    kubeconfig: "{{ trinode_kubeconfig }}"
    timeout: 120
    until:
      - api_version: metrics.k8s.io/v1beta1
        kind: NodeMetrics
        name: m1
        condition: usage.cpu

- name: Prometheus is ready and has an Alertmanager
  trinode.platform.kube_probe:
    kubeconfig: "{{ trinode_kubeconfig }}"
    namespace: monitoring
    http:
      - {service: kube-prometheus-stack-prometheus, port: 9090, path: /-/ready}
      - service: kube-prometheus-stack-prometheus
        port: 9090
        path: /api/v1/alertmanagers
        expect: length(data.activeAlertmanagers) > `0`

- name: A certificate is issued
  trinode.platform.kube_probe:
    kubeconfig: "{{ trinode_kubeconfig }}"
    namespace: cert-manager
    objects:
      - apiVersion: cert-manager.io/v1
        kind: Certificate
        metadata: {name: trinode-probe}
        spec:
          secretName: trinode-probe
          dnsNames: [probe.example.internal]
          issuerRef: {kind: ClusterIssuer, name: platform}

- name: A bucket is made, and keeps what is written to it
  trinode.platform.kube_probe:
    kubeconfig: "{{ trinode_kubeconfig }}"
    namespace: rook-ceph
    objects:
      - apiVersion: objectbucket.io/v1alpha1
        kind: ObjectBucketClaim
        metadata: {name: trinode-probe}
        spec: {generateBucketName: trinode-probe, storageClassName: ceph-bucket}
    buckets:
      - claim: trinode-probe

- name: A claim is bound, and then a snapshot of it can be taken
  trinode.platform.kube_probe:
    kubeconfig: "{{ trinode_kubeconfig }}"
    namespace: rook-ceph
    objects:
      - apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: {name: trinode-probe}
        spec: {storageClassName: ceph-block, accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
    then:
      - objects:
          - apiVersion: snapshot.storage.k8s.io/v1
            kind: VolumeSnapshot
            metadata: {name: trinode-probe}
            spec: {volumeSnapshotClassName: ceph-block, source: {persistentVolumeClaimName: trinode-probe}}
"""

RETURN = r"""
verified:
  description: Whether anything was proven. V(false) in check mode where there is no cluster yet, or where everything depends on objects that are not made.
  type: bool
  returned: success
  sample: true
made:
  description: The objects that were made for the probe, and removed.
  type: list
  elements: str
  returned: success
  sample: [Certificate cert-manager/trinode-probe]
"""

from dataclasses import replace
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests, probe, query
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.service_proxy import Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import Target
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

_UNTIL: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "api_version": {"type": "str", "required": True},
        "kind": {"type": "str", "required": True},
        "namespace": {"type": "str", "default": ""},
        "name": {"type": "str", "default": ""},
        "condition": {"type": "str", "required": True},
    },
}
_HTTP: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "namespace": {"type": "str", "default": ""},
        "service": {"type": "str", "required": True},
        "port": {"type": "str", "required": True},
        "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
        "path": {"type": "str", "default": "/"},
        "status": {"type": "int", "default": 200},
        "expect": {"type": "str", "default": ""},
        "contains": {"type": "str", "default": ""},
    },
}
_BUCKETS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {"claim": {"type": "str", "required": True}, "namespace": {"type": "str", "default": ""}},
}
_STEP: dict[str, Any] = {"objects": {"type": "list", "elements": "dict", "default": []}, "until": _UNTIL, "http": _HTTP, "buckets": _BUCKETS}
ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "manifests": {"type": "str", "default": ""},
    "namespace": {"type": "str", "default": "default"},
    **_STEP,
    "then": {"type": "list", "elements": "dict", "default": [], "options": _STEP},
}


def run(task: Task) -> Outcome:
    wanted = _probe(task.params)
    if task.check_mode:
        wanted = probe.without_objects(wanted)
    deadline = Deadline(task.params["timeout"])
    try:
        client = connect(task.params["kubeconfig"], task.params["context"], deadline)
        if task.check_mode:
            client.get("/version")
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        return Outcome(message=f"nothing was proven, as on a cluster that does not exist yet: {error}", values={"verified": False, "made": []})
    try:
        probe.run(client, wanted, deadline)
    finally:
        client.close()
    steps = [wanted, *wanted.then]
    made = [str(manifests.key_of(item)) for step in steps for item in step.objects]
    until, http, buckets = (sum(len(getattr(step, part)) for step in steps) for part in ("until", "http", "buckets"))
    counts = f"{len(made)} objects made and removed, {until} conditions, {http} answers{f', {buckets} buckets' if buckets else ''}"
    return Outcome(message=counts, values={"verified": bool(made or until or http or buckets), "made": made})


def _probe(params: dict[str, Any] | Any) -> probe.Probe:
    namespace = params["namespace"]
    first = _step(params, manifests.parse(params["manifests"]), namespace)
    return replace(first, then=[_step(step, [], namespace) for step in params["then"]])


def _step(params: dict[str, Any] | Any, given: list[manifests.Object], namespace: str) -> probe.Probe:
    until = [
        probe.Condition(
            Target(item["api_version"], item["kind"], item["namespace"] or namespace, item["name"]),
            query.compile(item["condition"], option="until.condition"),
        )
        for item in params["until"]
    ]
    http = [
        Request(
            **{
                **item,
                "namespace": item["namespace"] or namespace,
                "expect": query.compile(item["expect"], option="http.expect") if item["expect"] else None,
            }
        )
        for item in params["http"]
    ]
    buckets = [(item["namespace"] or namespace, item["claim"]) for item in params["buckets"]]
    return probe.Probe(manifests.normalise([*given, *params["objects"]]), until, http, buckets, namespace)


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_one_of=[("manifests", "objects", "until", "http", "buckets")])


if __name__ == "__main__":
    main()
