# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with a BMC, in words: one readable exception for each of sushy's and those of the libraries below it."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, InputError, PlatformError, RefusedError

HANDSHAKE_SECONDS = 5.0


class BmcUnreachable(ConnectionFailed):
    """Nothing answers at the BMC's address, or it breaks off."""


class BmcCertificateRefused(ConnectionFailed):
    """The BMC shows a certificate that is not trusted, or not the one that was named."""


class BmcLoginRefused(ConnectionFailed):
    """The BMC does not accept user name and password, or they do not allow this."""


class BmcFailed(ConnectionFailed):
    """The BMC answers, and not with what was asked for."""


def explain(error: BaseException, url: str, action: str) -> PlatformError:
    """The exception for a call that failed. ``action`` is what was tried: ``read the machine``."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, PlatformError):
            return cause
    refused = next((cause for cause in causes if _is(cause, "AccessError")), None)
    if refused is not None:
        return _login(getattr(refused, "status_code", 0), url, action)
    if any(isinstance(cause, ssl.SSLError) or _is(cause, "SSLError") for cause in causes):
        return _certificate(causes, url)
    if any(_is(cause, "ConnectionError", "Timeout", "ConnectTimeout", "ReadTimeout") or isinstance(cause, OSError) for cause in causes):
        return BmcUnreachable(
            f"the BMC does not answer ({_network(causes)})",
            where=url,
            hint="Check its address, that it has power and network, and that this computer reaches its network.",
        )
    if any(_is(cause, "MissingActionError", "MissingAttributeError", "InvalidParameterValueError") for cause in causes):
        return RefusedError(f"this BMC cannot {action}: {_one_line(str(error))}", where=url, hint="Boot the machine by PXE or by hand instead.")
    status = next((getattr(cause, "status_code", None) for cause in causes if getattr(cause, "status_code", None)), None)
    said = next((text for cause in causes if (text := getattr(cause, "detail", None))), None) or str(error)
    return BmcFailed(f"the BMC did not {action}{f' (HTTP {status})' if status else ''}: {_one_line(said)}", where=url, hint="See the BMC's own log.")


def _login(status: int, url: str, action: str) -> PlatformError:
    if status == 403:
        return BmcLoginRefused(
            f"the BMC does not allow this user to {action}", where=url, hint="The user needs the right to operate power and virtual media (Operator)."
        )
    return BmcLoginRefused(
        "the BMC refuses user name or password",
        where=url,
        hint="Correct machine_bmc_username and machine_bmc_password. It was tried once; many BMCs lock an account after a few wrong passwords.",
    )


def _certificate(causes: list[BaseException], url: str) -> PlatformError:
    text = " ".join(str(cause) for cause in causes)
    now = shown_fingerprint(url)
    if "ingerprints did not match" in text:
        return BmcCertificateRefused(
            f"the BMC shows another certificate than the one that was named; its SHA-256 fingerprint is {now or 'not known'}",
            where=url,
            hint="Compare with the certificate on the BMC's own pages. If it was renewed, correct machine_bmc_certificate_fingerprint; else do not log in.",
        )
    verification = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if verification is None and "certificate verify failed" not in text:
        return BmcUnreachable(f"the BMC does not speak TLS as it should ({_one_line(text, 120)})", where=url, hint="Check the address and the port.")
    reason = verification.verify_message if verification is not None else "not signed by a trusted authority"
    return BmcCertificateRefused(
        f"the BMC's certificate is not trusted ({reason}); its SHA-256 fingerprint is {now or 'not known'}",
        where=url,
        hint="Name the authority in machine_bmc_ca_file or, after comparing with the BMC's own pages, this fingerprint in machine_bmc_certificate_fingerprint.",
    )


def shown_fingerprint(url: str) -> str:
    """The SHA-256 fingerprint of the certificate that is shown now (AA:BB:...), for a person to compare; empty when there is none."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError, ValueError),
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=HANDSHAKE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").digest().hex(":").upper()
    return ""


def normalized_fingerprint(text: str) -> str:
    """64 hexadecimal digits, from any of the usual ways to write them. Raises InputError for anything else."""
    digits = text.strip().lower().removeprefix("sha256").lstrip(":= ").replace(":", "").replace(" ", "")
    if len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits):
        return digits
    raise InputError(
        f"{text!r} is not the SHA-256 fingerprint of a certificate",
        where="certificate_fingerprint",
        hint="Write 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them.",
    )


def _network(causes: list[BaseException]) -> str:
    text = " ".join(str(cause) for cause in causes)
    names = {type(cause).__name__ for cause in causes}
    for sign, reason in (
        ("Name or service not known", "its name does not resolve"),
        ("name resolution", "its name does not resolve"),
        ("NameResolutionError", "its name does not resolve"),
        ("Connection refused", "connection refused"),
        ("No route to host", "no route to host"),
        ("Network is unreachable", "network is unreachable"),
        ("RemoteDisconnected", "it closed the connection"),
        ("Connection aborted", "it closed the connection"),
        ("reset by peer", "it closed the connection"),
    ):
        if sign in text:
            return reason
    return "no answer in time" if any("Timeout" in name for name in names) or "timed out" in text else _one_line(text, 120)


def _is(error: BaseException, *names: str) -> bool:
    """By name, since the libraries are imported only where they are used."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what led to it, through chains and through exceptions that hold others as arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]


def _one_line(text: str, limit: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]} ..."
