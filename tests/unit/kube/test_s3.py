# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures against the example that AWS publishes («Authenticating Requests: Using Query Parameters»)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube.s3 import Keys, presigned

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
THEN = datetime(2013, 5, 24, tzinfo=UTC)


def test_it_signs_as_aws_does() -> None:
    assert presigned("GET", "examplebucket.s3.amazonaws.com", "/test.txt", KEYS, THEN, seconds=86400) == [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"),
        ("X-Amz-Date", "20130524T000000Z"),
        ("X-Amz-Expires", "86400"),
        ("X-Amz-SignedHeaders", "host"),
        ("X-Amz-Signature", "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"method": "PUT"},
        {"host": "examplebucket.s3.amazonaws.com:8080"},
        {"path": "/test.txt~"},
        {"now": datetime(2013, 5, 24, 0, 0, 1, tzinfo=UTC)},
        {"seconds": 60},
        {"region": "eu-central-1"},
        {"keys": Keys(KEYS.access, "another")},
    ],
)
def test_each_part_of_a_request_is_signed(other: dict[str, object]) -> None:
    request = {"method": "GET", "host": "examplebucket.s3.amazonaws.com", "path": "/test.txt", "keys": KEYS, "now": THEN, "seconds": 86400}
    assert presigned(**request)[-1] != presigned(**{**request, **other})[-1]  # type: ignore[arg-type]


def test_the_secret_is_not_shown() -> None:
    assert KEYS.secret not in repr(KEYS)
