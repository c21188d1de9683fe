# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does something do its job? Objects made for the time of the probe, conditions that objects come to, answers of services, buckets that keep objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, bucket, gone, request, service_proxy, targets
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.kinds import Kinds
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.query import Query
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

LABEL = "trinode.dev/probe"
"""On everything that a probe makes: what lacks it is not the probe's to remove."""
# What was made is removed even when the time of the probe is over.
_REMOVAL_SECONDS = 60.0
_PARALLEL = 8


@dataclass(frozen=True)
class Condition:
    """An object has to come to make ``query`` true."""

    target: targets.Target
    query: Query


@dataclass(frozen=True)
class Probe:
    """``namespace`` is for objects that name none. ``buckets`` are ObjectBucketClaims by namespace and name.

    ``then`` are further probes, each begun when all before it are proven; what they made is removed before what those made.
    """

    objects: Sequence[Object] = ()
    until: Sequence[Condition] = ()
    http: Sequence[service_proxy.Request] = ()
    buckets: Sequence[tuple[str, str]] = ()
    namespace: str = "default"
    then: Sequence[Probe] = ()


def without_objects(probe: Probe) -> Probe:
    """What of a probe can be asked without making anything: where it makes objects, only conditions on others, since answers may come from them."""
    probe = replace(probe, buckets=(), then=())
    if not probe.objects:
        return probe
    made = {(item["apiVersion"], item["kind"], item["metadata"]["name"]) for item in probe.objects}
    until = [item for item in probe.until if (item.target.api_version, item.target.kind, item.target.name) not in made]
    return replace(probe, objects=(), until=until, http=())


def run(client: Client, probe: Probe, deadline: Deadline) -> None:
    """Make the objects and wait until they are ready; then all conditions, answers and buckets at once. The objects are removed again in any case.

    Raises RefusedError where an object is there that no probe made, DeadlineExceeded or PlatformError for what did not come.
    """
    with present(client, probe, deadline):
        steps: list[Callable[[], Any]] = [partial(service_proxy.await_answer, client, answer, deadline) for answer in probe.http]
        if probe.until:
            steps.append(lambda: await_conditions(client, probe.until, deadline))
        steps += [partial(bucket.exercise, client, namespace, claim, deadline) for namespace, claim in probe.buckets]
        _at_once(steps)
        if probe.then:
            following, *rest = probe.then
            run(client, replace(following, then=rest), deadline)


def await_conditions(client: Client, conditions: Sequence[Condition], deadline: Deadline) -> None:
    """Return when every condition is true. A kind that is not served yet is waited for too."""
    kinds = Kinds(client, deadline)
    goals: list[Goal] = []
    for condition in conditions:
        resource = kinds.await_served(condition.target.api_version, condition.target.kind)
        goals.append(targets.goal(condition.target, resource, targets.holds(condition.query)))
    Pursuit(client, goals, deadline, aim="as expected").run()


def _at_once(steps: Sequence[Callable[[], Any]]) -> None:
    """Do all steps at once; the first failure is the probe's, without waiting for the others."""
    if not steps:
        return
    pool = ThreadPoolExecutor(max_workers=min(_PARALLEL, len(steps)))
    futures: list[Future[Any]] = [pool.submit(step) for step in steps]
    done, _pending = wait(futures, return_when=FIRST_EXCEPTION)
    pool.shutdown(wait=False, cancel_futures=True)
    for future in futures:
        if future in done:
            future.result()


@contextmanager
def present(client: Client, probe: Probe, deadline: Deadline) -> Iterator[None]:
    """The probe's objects are there and ready inside, and gone afterwards."""
    if not probe.objects:
        yield
        return
    kinds = Kinds(client, deadline)
    made = [_marked(item, probe, kinds) for item in probe.objects]
    gone.delete(client, _leftovers(client, made, kinds, deadline), deadline)
    try:
        progress(f"making {len(made)} objects to try it")
        apply.apply(client, made, request.Request(namespace=probe.namespace), deadline)
        yield
    except BaseException:
        # Why it failed matters more than what could not be removed; the next probe removes that.
        with suppress(PlatformError):
            _remove(client, made, kinds)
        raise
    _remove(client, made, kinds)


def _remove(client: Client, made: Sequence[Object], kinds: Kinds) -> None:
    deadline = Deadline(_REMOVAL_SECONDS)
    progress(f"removing {len(made)} objects again")
    gone.delete(client, [(key_of(item), kinds.require(item["apiVersion"], item["kind"])) for item in reversed(made)], deadline)


def _marked(item: Object, probe: Probe, kinds: Kinds) -> Object:
    metadata = {name: value for name, value in item["metadata"].items() if name != "namespace"}
    if kinds.await_served(item["apiVersion"], item["kind"]).namespaced:
        metadata["namespace"] = item["metadata"].get("namespace") or probe.namespace
    metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: "true"}
    return {**item, "metadata": metadata}


def _leftovers(client: Client, made: Sequence[Object], kinds: Kinds, deadline: Deadline) -> list[tuple[Key, Resource]]:
    """The objects that an earlier probe was kept from removing. RefusedError for one that is not a probe's."""
    found = []
    for item in made:
        key, resource = key_of(item), kinds.require(item["apiVersion"], item["kind"])
        path = resource.path(key.namespace, key.name)
        try:
            there = retried(partial(client.get, path, deadline=deadline), deadline, str(key))
        except ApiError as error:
            if error.not_found:
                continue
            raise
        if LABEL not in (there["metadata"].get("labels") or {}):
            raise RefusedError("it is there already, and no probe made it", where=str(key), hint="A probe removes what it makes: give it another name.")
        found.append((key, resource))
    return found
