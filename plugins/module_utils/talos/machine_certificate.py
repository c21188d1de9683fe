# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two things we need from a certificate, its public key's bytes and its life, without a package for X.509. Pure.

Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serial, signature, issuer, validity, subject, subjectPublicKeyInfo, ... } ... }
(RFC 5280). The input comes from files and machines of ours or is only hashed; the signature is TLS's business.
"""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass

_VALIDITY, _SUBJECT_PUBLIC_KEY_INFO = 3, 5
_DIGITS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
_VERSION_TAG, _UTC_TIME_TAG = 0xA0, 0x17


@dataclass(frozen=True)
class Validity:
    """The life of a certificate."""

    not_before: dt.datetime
    not_after: dt.datetime

    def share_left(self, now: dt.datetime) -> float:
        """The share of its life that is left, 0 to 1."""
        life = (self.not_after - self.not_before).total_seconds()
        return max(0.0, min(1.0, (self.not_after - now).total_seconds() / life)) if life > 0 else 0.0


def subject_public_key_info(certificate: bytes) -> bytes:
    """The DER element SubjectPublicKeyInfo of a certificate in DER. Raises ValueError for anything else."""
    start, _content, end = _field(certificate, _SUBJECT_PUBLIC_KEY_INFO)
    return certificate[start:end]


def validity(pem: str) -> Validity:
    """The life of the first certificate in a PEM text. Raises ValueError when there is none."""
    first = pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")]
    certificate = ssl.PEM_cert_to_DER_cert(first)
    _start, content, _end = _field(certificate, _VALIDITY)
    not_before, position = _time(certificate, content)
    return Validity(not_before, _time(certificate, position)[0])


def _field(certificate: bytes, number: int) -> tuple[int, int, int]:
    """Start, start of the content, and end of a field of tbsCertificate, counted from the serial number (0)."""
    _tag, body, _end = _element(certificate, 0)
    _tag, position, _end = _element(certificate, body)
    tag, _content, end = _element(certificate, position)
    if tag == _VERSION_TAG:
        position = end
    for _skipped in range(number):
        _tag, _content, position = _element(certificate, position)
    _tag, content, end = _element(certificate, position)
    return position, content, end


def _element(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag, start of the content, and end of the DER element at ``position``."""
    try:
        length, content = data[position + 1], position + 2
        if length & 0x80:
            count = length & 0x7F
            length, content = int.from_bytes(data[content : content + count], "big"), content + count
        return data[position], content, content + length
    except IndexError as error:
        raise ValueError("not a certificate") from error


def _time(data: bytes, position: int) -> tuple[dt.datetime, int]:
    tag, content, end = _element(data, position)
    text = data[content:end].decode("ascii")
    # RFC 5280: two digits of the year mean 1950 to 2049; always in UTC, with seconds.
    if tag == _UTC_TIME_TAG:
        text = ("19" if text >= "50" else "20") + text
    try:
        year, month, day, hour, minute, second = (int(text[start:stop]) for start, stop in _DIGITS)
        return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC), end
    except ValueError as error:
        raise ValueError("not a certificate") from error
