# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the bucket of an ObjectBucketClaim take an object and give it back? Asked through the API server, so no pod is started for it."""

from __future__ import annotations

import base64
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.s3 import Keys, presigned
from ansible_collections.trinode.platform.plugins.module_utils.kube.service_proxy import Request, await_answer

_SIZE = 256 * 1024
_REMOVAL_SECONDS = 10.0
# Stores refuse what is signed for longer than a week.
_LONGEST_SIGNED = 7 * 24 * 3600
_SERVICE = re.compile(r"(?P<service>[^.]+)\.(?P<namespace>[^.]+)\.svc(\..+)?")


@dataclass(frozen=True)
class Bucket:
    """Where a claim's bucket is, and the keys to it."""

    service: str
    namespace: str
    port: str
    host: str
    name: str
    keys: Keys

    def request(self, method: str, key: str, status: int, seconds: float, *, body: bytes | None = None, exact: bytes | None = None) -> Request:
        """A signed request about one object, and how it has to be answered."""
        path = f"/{self.name}/{key}"
        host = self.host if self.port == "80" else f"{self.host}:{self.port}"
        signed = presigned(method, host, path, self.keys, datetime.now(UTC), seconds=min(int(seconds) + 1, _LONGEST_SIGNED))
        headers = {"Host": host, **({"Content-Type": "application/octet-stream"} if body is not None else {})}
        return Request(
            self.namespace, self.service, self.port, path, status=status, method=method, body=body, headers=headers, query=tuple(signed), exact=exact
        )


def exercise(client: Client, namespace: str, claim: str, deadline: Deadline) -> None:
    """Write an object of random bytes, read it, delete it, and see that it is gone. DeadlineExceeded with the store's last answer."""
    bucket = read(client, namespace, claim, deadline)
    key, content = f"trinode-probe-{os.urandom(4).hex()}", os.urandom(_SIZE)
    seconds = deadline.remaining
    await_answer(client, bucket.request("PUT", key, 200, seconds, body=content), deadline)
    removal = bucket.request("DELETE", key, 204, seconds)
    try:
        await_answer(client, bucket.request("GET", key, 200, seconds, exact=content), deadline)
    except BaseException:
        # Why it failed matters more than what is left.
        with suppress(PlatformError):
            await_answer(client, removal, Deadline(_REMOVAL_SECONDS))
        raise
    await_answer(client, removal, deadline)
    await_answer(client, bucket.request("GET", key, 404, seconds), deadline)


def read(client: Client, namespace: str, claim: str, deadline: Deadline) -> Bucket:
    """What came of a claim: the ConfigMap and the Secret of its name. InputError where the store is no service of the cluster."""
    place, secret = (
        retried(partial(client.get, f"/api/v1/namespaces/{namespace}/{kind}/{claim}", deadline=deadline), deadline, f"{namespace}/{claim}").get("data") or {}
        for kind in ("configmaps", "secrets")
    )
    host = str(place.get("BUCKET_HOST", ""))
    found = _SERVICE.fullmatch(host)
    missing = [key for key in ("BUCKET_NAME", "BUCKET_PORT") if not place.get(key)]
    missing += [key for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not secret.get(key)]
    if found is None or missing:
        wrong = f"they have no {', '.join(missing)}" if missing else f"the bucket is at {host or 'no host'}, which is no service of this cluster"
        raise InputError(
            wrong,
            where=f"ConfigMap and Secret {namespace}/{claim}",
            hint="Leave this bucket out of the probe where its store has another address (advertiseEndpoint of a CephObjectStore).",
        )
    keys = Keys(*(base64.b64decode(secret[key]).decode() for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")))
    return Bucket(found["service"], found["namespace"], str(place["BUCKET_PORT"]), host, str(place["BUCKET_NAME"]), keys)
