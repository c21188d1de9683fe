# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that helm 3.22 printed, and what the user reads instead."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.helm.failures import explain

CASES = [
    (
        'Error: chart "probe" version "2.0.0" not found in http://192.0.2.1:8879 repository\n',
        InputError,
        "chart probe 2.0.0 from REPO: there is no such chart or version. Pin a version that the repository has, or bring this one to the mirror.",
    ),
    (
        (
            'Error: looks like "http://192.0.2.1:8879" is not a valid chart repository or cannot be reached: Get "http://192.0.2.1:8879/index.yaml": '
            "dial tcp 192.0.2.1:8879: connect: connection refused\n"
        ),
        ConnectionFailed,
        (
            'chart probe 2.0.0 from REPO: the repository cannot be reached: Get "http://192.0.2.1:8879/index.yaml": dial tcp 192.0.2.1:8879: '
            "connect: connection refused. Check the URL, the network and trinode_chart_mirror."
        ),
    ),
    (
        (
            "WARNING: something about permissions\nError: values don't meet the specifications of the schema(s) in the following chart(s):\nprobe:\n"
            "- at '/operator/replicas': got string, want integer\n- at '': additional properties 'x' not allowed\n"
        ),
        InputError,
        (
            "chart probe 2.0.0 from REPO: the values break the chart's schema: operator.replicas: got string, want integer; "
            "values: additional properties 'x' not allowed. Correct these values; the chart's values.yaml describes them."
        ),
    ),
    (
        "Error: chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.20.0\n\nUse --debug flag to render out invalid YAML\n",
        InputError,
        "chart probe 2.0.0 from REPO: the chart wants Kubernetes >=1.30.0-0, and the cluster has v1.20.0. Pin a version of the chart that fits.",
    ),
    (
        "Error: execution error at (probe/templates/a.yaml:4:23): bad is bad\n",
        InputError,
        ("chart probe 2.0.0 from REPO: the chart refuses the values: bad is bad (probe/templates/a.yaml:4:23). Correct the values that it names."),
    ),
    ("Error: something new\n", CommandError, "chart probe 2.0.0 from REPO: helm failed: something new."),
]


@pytest.mark.parametrize(("stderr", "error", "message"), CASES)
def test_explanations(stderr: str, error: type[PlatformError], message: str) -> None:
    explained = explain(stderr, chart="chart probe 2.0.0", repository="REPO")
    assert type(explained) is error
    assert str(explained) == message
