# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Presigned requests of S3: AWS signature version 4 in the query, which passes where an Authorization header is somebody else's. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Keys:
    """With which an S3 user signs. ``secret`` is never sent or shown."""

    access: str
    secret: str

    def __repr__(self) -> str:
        return f"Keys({self.access!r})"


def presigned(
    method: str,
    host: str,
    path: str,
    keys: Keys,
    now: datetime,
    *,
    seconds: int,
    region: str = "us-east-1",
    parameters: Sequence[tuple[str, str]] = (),
) -> list[tuple[str, str]]:
    """The query that lets a request through for ``seconds`` from ``now`` (UTC).

    ``host`` is the Host header as the store gets it, with the port where it is not the scheme's own; ``path`` begins with "/", not encoded yet.
    ``parameters`` are the request's own, such as ``prefix`` of a list.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    query = sorted(
        [
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{keys.access}/{scope}"),
            ("X-Amz-Date", time),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-SignedHeaders", "host"),
            *parameters,
        ]
    )
    canonical = "\n".join((method, quote(path, safe="/~"), urlencode(query, quote_via=quote, safe="~"), f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"))
    text = "\n".join((_ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in (time[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return [*query, ("X-Amz-Signature", hmac.new(key, text.encode(), hashlib.sha256).hexdigest())]
