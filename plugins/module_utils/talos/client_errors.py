# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What talosctl prints on failure, as our exceptions. Pure; tested with texts that talosctl 1.13 really printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, InputError, PlatformError, RefusedError


class Unreachable(ConnectionFailed):
    """Nothing answers at the machine's address, or it answers and breaks off, as a machine does that boots or reboots. Worth another try."""


class CertificateMismatch(ConnectionFailed):
    """The machine in maintenance shows another certificate than the fingerprint that was given."""


class ForeignMachine(ConnectionFailed):
    """TLS answers, and its certificate is not signed by our authority: maintenance mode, another cluster, or another host altogether."""


class NotAuthorized(ConnectionFailed):
    """Our client certificate is not accepted, or does not allow this call."""


class NotInMaintenance(ConnectionFailed):
    """The machine wants a client certificate, so it holds a configuration and is no longer in maintenance mode."""


class NotReady(ConnectionFailed):
    """The API answers, and says that it cannot do this yet. Worth another try."""


class NoSuchResource(CommandError):
    """This Talos does not know the resource, or there is none of that name."""


class AlreadyDone(RefusedError):
    """The API says that it has been done before (AlreadyExists)."""


class ConfigRejected(InputError):
    """Talos does not accept the machine configuration; ``what`` says why, as Talos does."""


class NeedsReboot(RefusedError):
    """Talos cannot take over this change while it runs."""


class NotSupported(RefusedError):
    """This Talos (its platform or version) has no such call."""


_ADDRESS_HINT = "Check that the machine has power and network, and that its address is right."
_FOREIGN_HINT = "Check the address. If the machine belongs to another cluster, reset it first; if it is ours, the talosconfig is another cluster's."
_CREDENTIALS_HINT = "Run the cluster play, which writes it (talos_credentials)."


class _Rule(NamedTuple):
    """``signs``: any of them in the text makes the rule match. ``{reason}`` in ``what`` stands for what the machine said."""

    signs: Sequence[str]
    error: type[PlatformError]
    what: str
    hint: str = ""


# The connection itself failed. The order counts: an expired certificate also "failed to verify".
_TRANSPORT = (
    _Rule(
        ["doesn't match the provided fingerprints"],
        CertificateMismatch,
        "the machine shows another certificate than the fingerprint that was given",
        "Compare with the fingerprint on the machine's console. The maintenance certificate is made anew at every boot.",
    ),
    _Rule(
        ["certificate has expired or is not yet valid"],
        NotAuthorized,
        "a certificate has expired or is not valid yet",
        "Renew the talosconfig (talos_credentials), and check the machines' clocks.",
    ),
    _Rule(
        ["x509: certificate is valid for", "doesn't contain any IP SANs"],
        ForeignMachine,
        "the machine's certificate is not valid for this address",
        "Use an address that the machine has, or add this one to its certificates' names (machine.certSANs).",
    ),
    _Rule(
        ["certificate signed by unknown authority", "failed to verify certificate"],
        ForeignMachine,
        "the machine's certificate is not signed by this cluster's authority",
        _FOREIGN_HINT,
    ),
    _Rule(
        ["certificate required", "bad certificate", "expired certificate", "unknown certificate authority"],
        NotInMaintenance,
        "the machine asks for a client certificate, and ours is none that it accepts",
        _FOREIGN_HINT,
    ),
    _Rule(["connection refused"], Unreachable, "nothing listens on the Talos API's port 50000", _ADDRESS_HINT),
    _Rule(["no route to host", "network is unreachable", "i/o timeout"], Unreachable, "no answer from this address", _ADDRESS_HINT),
    _Rule(["no such host"], Unreachable, "this name does not resolve", "Check the name, or give an IP address."),
    _Rule(
        ["broken pipe", "connection reset by peer", "error reading server preface", "transport is closing", "desc = EOF"],
        Unreachable,
        "the machine broke off the connection",
        "It boots or reboots, or asks for a client certificate.",
    ),
    _Rule(
        ["talos config file is empty", "failed to resolve config", "failed to open config file"],
        InputError,
        "the talosconfig is missing, empty or has no context",
        _CREDENTIALS_HINT,
    ),
)

# The machine answered with this code of gRPC. ``signs`` are looked for in what it said; none means always.
_ANSWERS: dict[str, Sequence[_Rule]] = {
    "InvalidArgument": (
        # The text goes on with a diff, which may hold secrets.
        _Rule(["can't be applied in immediate mode"], NeedsReboot, "this change cannot be applied while the machine runs; it needs a reboot"),
        _Rule([], ConfigRejected, "Talos rejects the machine configuration: {reason}", "Correct the setting or patch that this names."),
    ),
    "FailedPrecondition": (
        _Rule(["not supported in"], NotSupported, "this machine cannot {action}: {reason}"),
        _Rule([], NotReady, "the machine cannot {action} now: {reason}"),
    ),
    "AlreadyExists": (_Rule([], AlreadyDone, "the machine says that this was done before: {reason}"),),
    "NotFound": (_Rule([], NoSuchResource, "could not {action}: {reason}"),),
    "Unimplemented": (_Rule([], NotSupported, "this version of Talos cannot {action}: {reason}"),),
    **dict.fromkeys(
        ("PermissionDenied", "Unauthenticated"),
        (_Rule([], NotAuthorized, "the machine does not allow us to {action}: {reason}", "The talosconfig needs a certificate with the role os:admin."),),
    ),
    **dict.fromkeys(
        ("Unavailable", "Canceled", "DeadlineExceeded", "Aborted"),
        (_Rule([], Unreachable, "the machine did not answer: {reason}", _ADDRESS_HINT),),
    ),
}
_OTHERWISE = (_Rule([], CommandError, "could not {action}: {reason}"),)

_CODE = re.compile(r"rpc error: code = (\w+) desc = ")


def explain_failure(stderr: str, *, address: str, action: str) -> PlatformError:
    """The exception for a talosctl call that failed. ``action`` is what was tried, in words: ``read machinestatus``."""
    text = stderr.strip()
    found = _CODE.search(text)
    reason = _reason(text[found.end() :] if found else text)
    answers = _ANSWERS.get(found[1], _OTHERWISE) if found else _OTHERWISE
    rule = next((rule for rule in _TRANSPORT if _matches(rule, text)), None) or next(rule for rule in answers if _matches(rule, text))
    return rule.error(rule.what.format(action=action, reason=reason), where=address, hint=rule.hint)


def _matches(rule: _Rule, text: str) -> bool:
    return not rule.signs or any(sign in text for sign in rule.signs)


def _reason(text: str, limit: int = 500) -> str:
    """What the machine said, in one line; of Go's nested ``N errors occurred: * ...`` lists the leaves."""
    leaves = [line.strip().removeprefix("* ") for line in text.splitlines() if line.strip().startswith("* ")]
    leaves = [leaf for leaf in leaves if not re.search(r"\d+ errors? occurred:$", leaf)]
    line = "; ".join(leaves) or " ".join(text.split()) or "talosctl said nothing"
    return line if len(line) <= limit else f"{line[:limit]} ..."
