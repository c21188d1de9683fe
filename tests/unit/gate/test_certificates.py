# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of certificates, as a table of what is left of their life."""

from __future__ import annotations

import datetime as dt

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import certificates as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.certificates import Certificate, Certificates
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def certificate(left: float, life: float = 365, *, problem: str = "") -> Certificate:
    """One that has so many days left of so many."""
    end = NOW + dt.timedelta(days=left)
    return Certificate("kubeconfig", "Renew it.", end - dt.timedelta(days=life), end, problem)


@pytest.mark.parametrize(
    ("found", "policy", "expected"),
    [
        pytest.param(certificate(300), Policy(), [], id="most of a year is left"),
        pytest.param(certificate(29), Policy(), [("warning", "the certificate expires in 29 days")], id="less than is warned of"),
        pytest.param(certificate(29), Policy(certificate_warn_days=20), [], id="more than the user wants to be warned of"),
        pytest.param(certificate(6.9), Policy(), [("error", "the certificate expires in 6 days")], id="less than there has to be"),
        pytest.param(certificate(6.9), Policy(certificate_refuse_days=3), [("warning", "the certificate expires in 6 days")], id="more than the user asks for"),
        pytest.param(certificate(1), Policy(), [("error", "the certificate expires in 24 hours")], id="a day"),
        pytest.param(certificate(-1), Policy(), [("error", "the certificate expired on 2026-05-31 00:00 UTC")], id="expired"),
        pytest.param(
            certificate(-1), Policy(certificate_refuse_days=0), [("error", "the certificate expired on 2026-05-31 00:00 UTC")], id="expired, never refused"
        ),
        pytest.param(certificate(0.5, life=1), Policy(), [], id="one of a day, at half of it"),
        pytest.param(certificate(0.2, life=1), Policy(), [("warning", "the certificate expires in 5 hours")], id="one of a day that was not renewed"),
        pytest.param(certificate(0.05, life=1), Policy(), [("error", "the certificate expires in 1 hours")], id="one of a day, at its end"),
        pytest.param(certificate(30, life=90), Policy(), [], id="one of three months when it is to be renewed"),
        pytest.param(certificate(60, problem="it is not ready: no issuer"), Policy(), [("error", "it is not ready: no issuer")], id="not ready"),
        pytest.param(Certificate("kubeconfig", "Look.", problem="no answer"), Policy(), [("error", "no answer")], id="not read"),
    ],
)
def test_certificates(found: Certificate, policy: Policy, expected: list[tuple[str, str]]) -> None:
    findings = check.judge(Certificates((found,), 0, NOW), policy)
    assert [(finding.severity, finding.problem) for finding in findings] == expected
    assert all(finding.advice and finding.where == "kubeconfig" for finding in findings)


def test_what_is_seen() -> None:
    later = Certificate("talosconfig", "", NOW, NOW + dt.timedelta(days=300))
    assert check.seen(Certificates((later, certificate(90)), 2, NOW)) == "2 read, the first to expire in 90 days: kubeconfig"
    assert check.seen(Certificates((), None, NOW)) == "0 read; cert-manager not installed"
