"""The little of S3 that a bucket needs: requests with a signature of version 4."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time

_REGION = "us-east-1"


def create_bucket(host: str, keys: tuple[str, str], bucket: str) -> None:
    """Make a bucket; one that is the user's already is fine. Raises OSError."""
    status, text = request(host, keys, "PUT", f"/{bucket}")
    if status != http.client.OK and b"BucketAlreadyOwnedByYou" not in text:
        raise OSError(f"bucket {bucket} at {host}: {status} {text.decode(errors='replace')[:300]}")


def request(host: str, keys: tuple[str, str], method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and content of the answer."""
    access, secret = keys
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{moment[:8]}/{_REGION}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    signed = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(signed)
    canonical = "\n".join([method, path, "", *(f"{name}:{value}" for name, value in signed.items()), "", names, digest])
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers = {name: value for name, value in signed.items() if name != "host"}
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    connection = http.client.HTTPConnection(host, 80, timeout=20)
    try:
        connection.request(method, path, body, {"Host": host, **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
