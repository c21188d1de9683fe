"""Texts that talosctl 1.13.8 really printed, and what they become."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import client_errors as errors

DIAL = 'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 192.0.2.11:50000: connect: {}"'
HANDSHAKE = 'rpc error: code = Unavailable desc = connection error: desc = "transport: authentication handshake failed: {}"'
REJECTED = """error applying new configuration: rpc error: code = InvalidArgument desc = 1 error occurred:
\t* v1alpha1.Config: 2 errors occurred:
\t* cluster instructions are required
\t* issuing CA is required (.machine.ca)



"""
IMMEDIATE = """error applying new configuration: rpc error: code = InvalidArgument desc = this config change can't be applied in immediate mode
diff:
--- a
+    token: abcdef.0123456789abcdef
"""

CASES = [
    (DIAL.format("connection refused"), errors.Unreachable, "nothing listens"),
    (DIAL.format("no route to host"), errors.Unreachable, "no answer from this address"),
    ("rpc error: code = Unavailable desc = write tcp 192.0.2.1:4->192.0.2.11:50000: write: broken pipe", errors.Unreachable, "broke off"),
    ("rpc error: code = Unavailable desc = error reading from server: EOF", errors.Unreachable, "did not answer"),
    (HANDSHAKE.format("tls: failed to verify certificate: x509: certificate signed by unknown authority"), errors.ForeignMachine, "not signed by this cluster"),
    (
        HANDSHAKE.format(
            'tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \\"x509: Ed25519 verification failure\\")'
        ),
        errors.ForeignMachine,
        "not signed by this cluster",
    ),
    (
        HANDSHAKE.format("tls: failed to verify certificate: x509: certificate is valid for 10.0.0.1, 127.0.0.1, not 192.0.2.11"),
        errors.ForeignMachine,
        "not valid for this address",
    ),
    (
        HANDSHAKE.format("tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026 is after 2025"),
        errors.NotAuthorized,
        "expired",
    ),
    (HANDSHAKE.format("remote error: tls: certificate required"), errors.NotInMaintenance, "client certificate"),
    (HANDSHAKE.format("leaf peer certificate doesn't match the provided fingerprints: [AAAA=]"), errors.CertificateMismatch, "another certificate"),
    (REJECTED, errors.ConfigRejected, "cluster instructions are required; issuing CA is required (.machine.ca)"),
    (IMMEDIATE, errors.NeedsReboot, "needs a reboot"),
    (
        "error applying new configuration: rpc error: code = FailedPrecondition desc = another apply configuration is already in progress",
        errors.NotReady,
        "another apply configuration is already in progress",
    ),
    (
        "error executing reboot: 1 error occurred:\n\t* 192.0.2.11: rpc error: code = FailedPrecondition desc = method is not supported in container mode\n\n",
        errors.NotSupported,
        "not supported in container mode",
    ),
    ("error executing bootstrap: rpc error: code = AlreadyExists desc = etcd data directory is not empty", errors.AlreadyDone, "not empty"),
    ('rpc error: code = NotFound desc = resource "bogus" is not registered', errors.NoSuchResource, "not registered"),
    ("rpc error: code = PermissionDenied desc = not authorized", errors.NotAuthorized, "does not allow"),
    ("error getting members: rpc error: code = Canceled desc = context canceled", errors.Unreachable, "did not answer"),
    (
        "error constructing client: failed to create client connection: failed to resolve configuration context: talos config file is empty",
        InputError,
        "talosconfig",
    ),
    ("something that nobody foresaw", CommandError, "something that nobody foresaw"),
    ("", CommandError, "talosctl said nothing"),
]


@pytest.mark.parametrize(("stderr", "error", "text"), CASES)
def test_failures(stderr: str, error: type[Exception], text: str) -> None:
    found = errors.explain_failure(stderr, address="192.0.2.11", action="apply the machine configuration")
    assert type(found) is error
    assert text in str(found)
    assert found.where == "192.0.2.11"


def test_a_diff_with_secrets_is_not_shown() -> None:
    assert "abcdef" not in str(errors.explain_failure(IMMEDIATE, address="192.0.2.11", action="apply the machine configuration"))


def test_long_reasons_are_cut() -> None:
    found = errors.explain_failure("rpc error: code = InvalidArgument desc = " + "x" * 5000, address="192.0.2.11", action="apply")
    assert len(str(found)) < 800
