# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of etcd in a bucket of an S3 store: any that knows signature version 4 and buckets in the path (AWS, Ceph, MinIO, ...)."""

from __future__ import annotations

import contextlib
import html
import http.client
import os
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.s3 import Keys, presigned

# Stores take up to 5 GiB in one request and up to 10000 parts of at least 5 MiB; one part is in memory at a time.
PART_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_ANSWER_SECONDS = 120.0
_ATTEMPTS = 3
_URL_HINT = "Write it as https://s3.example.com/bucket or https://s3.example.com/bucket/prefix."


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Bucket:
    """A bucket at ``url`` (scheme, host, bucket, and a prefix if there is one)."""

    def __init__(self, url: str, keys: Keys, *, region: str, deadline: Deadline, authority: str = "") -> None:
        parts = urlsplit(url)
        self._secure, self._host = parts.scheme == "https", parts.netloc
        self._name, _slash, prefix = parts.path.strip("/").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._url, self._keys, self._region, self._deadline = url.rstrip("/"), keys, region, deadline
        try:
            self._tls = ssl.create_default_context(cadata=authority or None)
        except ssl.SSLError as error:
            raise InputError("the certificate authority of the bucket's server is no certificate in PEM", where="authority") from error

    def where(self, name: str) -> str:
        return f"{self._url}/{name}"

    def names(self) -> list[str]:
        """Names below the prefix, without it."""
        found: list[str] = []
        token: list[tuple[str, str]] = []
        while True:
            parameters = [("list-type", "2"), ("prefix", f"{self._prefix}etcd-"), *token]
            listed = self._call("GET", "", parameters=parameters, action="list the bucket").body
            if b"<ListBucketResult" not in listed:
                raise CommandError("what answers there is no S3 store", where=self._url, hint="Check the bucket's address.")
            found += [key.removeprefix(self._prefix) for key in _texts(listed, "Key")]
            following = _texts(listed, "NextContinuationToken")
            if not following:
                return found
            token = [("continuation-token", following[0])]

    def put(self, name: str, path: str) -> None:
        """Send a file. An existing object is never replaced, and one that does not have all bytes afterwards is an error."""
        if name in self.names():
            raise RefusedError("there is a backup of this second already", where=self.where(name), hint="Run it again.")
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            if size <= PART_BYTES:
                self._call("PUT", name, body=file.read(), action="write the backup")
            else:
                self._put_parts(name, file)
        stored = self._call("HEAD", name, action="look at the backup").headers.get("Content-Length", "")
        if stored != str(size):
            raise CommandError(f"the store has {stored or 'no'} bytes of it, {size} were sent", where=self.where(name), hint="Run it again.")

    def fetch(self, name: str, file: IO[bytes]) -> None:
        self._call("GET", name, into=file, action="read the backup")

    def remove(self, name: str) -> None:
        self._call("DELETE", name, action="remove the backup")

    def _put_parts(self, name: str, file: IO[bytes]) -> None:
        begun = self._call("POST", name, parameters=[("uploads", "")], action="begin to write the backup")
        (upload, *_more) = _texts(begun.body, "UploadId") or [""]
        if not upload:
            raise CommandError("the store began no upload in parts", where=self.where(name))
        try:
            tags: list[str] = []
            while part := file.read(PART_BYTES):
                parameters = [("partNumber", str(len(tags) + 1)), ("uploadId", upload)]
                tags.append(self._call("PUT", name, parameters=parameters, body=part, action="write the backup").headers.get("ETag", ""))
            listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1))
            body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
            ended = self._call("POST", name, parameters=[("uploadId", upload)], body=body, action="end writing the backup")
        except BaseException:
            # Parts of an upload that is not ended cost room that nobody sees.
            with contextlib.suppress(PlatformError):
                self._call("DELETE", name, parameters=[("uploadId", upload)], action="drop the parts of the backup")
            raise
        # Stores answer 200 before they have put it together, and say afterwards that they could not.
        if b"<Error>" in ended.body:
            raise CommandError(f"the store did not put the parts together: {_reason(ended.body)}", where=self.where(name), hint="Run it again.")

    def _call(
        self,
        method: str,
        name: str,
        *,
        action: str,
        parameters: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        into: IO[bytes] | None = None,
    ) -> _Answer:
        """One request, tried again when the store does not answer or says that it is busy."""
        where = self.where(name) if name else self._url
        for attempt in range(1, _ATTEMPTS + 1):
            self._deadline.check(f"could not {action}", where=where)
            try:
                answer = self._send(method, name, parameters=parameters, body=body, into=into)
            except ssl.SSLCertVerificationError as error:
                hint = "Give the authority that signed its certificate (trinode_etcd_backup_ca)."
                raise ConnectionFailed(f"the server's certificate cannot be verified: {error.verify_message}", where=where, hint=hint) from error
            except (OSError, http.client.HTTPException) as error:
                if attempt == _ATTEMPTS:
                    raise ConnectionFailed(f"could not {action}: {error}", where=where, hint="Check the bucket's address and the network.") from error
            else:
                if answer.status in (200, 204) or (method == "DELETE" and answer.status == 404):
                    return answer
                if answer.status < 500 or attempt == _ATTEMPTS:
                    raise _refused(answer, action, where)
            self._deadline.pause(2.0)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, name: str, *, parameters: Sequence[tuple[str, str]], body: bytes | None, into: IO[bytes] | None) -> _Answer:
        path = f"/{self._name}/{self._prefix}{name}" if name else f"/{self._name}"
        signed = presigned(
            method, self._host, path, self._keys, datetime.now(UTC), seconds=int(_ANSWER_SECONDS) + 60, region=self._region, parameters=parameters
        )
        seconds = min(_ANSWER_SECONDS, max(1.0, self._deadline.remaining))
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(self._host, timeout=seconds, context=self._tls)
        else:
            connection = http.client.HTTPConnection(self._host, timeout=seconds)
        try:
            connection.request(method, f"{quote(path, safe='/~')}?{urlencode(signed, quote_via=quote, safe='~')}", body=body, headers={"Host": self._host})
            response = connection.getresponse()
            if into is None or response.status != 200:
                return _Answer(response.status, response.headers, response.read())
            into.seek(0)
            into.truncate()
            while chunk := response.read(_READ_BYTES):
                self._deadline.check("the backup was not read", where=self.where(name))
                into.write(chunk)
            return _Answer(response.status, response.headers, b"")
        finally:
            connection.close()


def check_url(url: str) -> str:
    """What is wrong with the URL of a bucket, and what to do; empty when nothing is."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.netloc:
        return f"{url!r} is not an https URL. {_URL_HINT}"
    if "@" in parts.netloc or parts.query or parts.fragment:
        return f"the URL holds more than host, bucket and prefix. {_URL_HINT}"
    if not re.fullmatch(r"/[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/.*)?", parts.path):
        return f"{url!r} names no bucket. {_URL_HINT}"
    return ""


def _refused(answer: _Answer, action: str, where: str) -> PlatformError:
    reason = _reason(answer.body) or f"it answered with status {answer.status}"
    if answer.status == 403:
        return InputError(f"the store does not allow us to {action}: {reason}", where=where, hint="Check the keys, the region and the bucket's policy.")
    if answer.status == 404:
        return InputError(f"could not {action}: {reason}", where=where, hint="Check the bucket's and the backup's name.")
    return CommandError(f"could not {action}: {reason}", where=where)


def _reason(body: bytes) -> str:
    return ": ".join(_texts(body, "Code")[:1] + _texts(body, "Message")[:1])[:300]


def _texts(body: bytes, name: str) -> list[str]:
    """The texts of these elements of an answer in XML, which is flat enough for that."""
    return [html.unescape(text) for text in re.findall(rf"<{name}>([^<]*)</{name}>", body.decode("utf-8", "replace"))]
