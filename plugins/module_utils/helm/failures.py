# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What helm's error texts mean, and what to do about them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, InputError, PlatformError


@dataclass(frozen=True)
class _Meaning:
    """What an error text is recognised by, and what it is for the user. ``what`` gets the match and the whole text."""

    pattern: str
    error: type[PlatformError]
    what: Callable[[re.Match[str], str], str]
    hint: str


_OTHER_VERSION = "Pin a version that the repository has, or bring this one to the mirror."

# The first that fits. From helm 3's pkg/chart, pkg/repo, pkg/registry and pkg/engine.
_MEANINGS = (
    _Meaning(
        r"specifications of the schema",
        InputError,
        lambda _match, text: f"the values break the chart's schema: {_schema_findings(text)}",
        "Correct these values; the chart's values.yaml describes them.",
    ),
    _Meaning(
        r"chart requires kubeVersion: (.+?) which is incompatible with Kubernetes (\S+)",
        InputError,
        lambda match, _text: f"the chart wants Kubernetes {match[1]}, and the cluster has {match[2]}",
        "Pin a version of the chart that fits.",
    ),
    _Meaning(
        r"chart \"[^\"]+\" (?:version \"[^\"]+\"|matching \S+) not found|manifest unknown|: not found$",
        InputError,
        lambda _match, _text: "there is no such chart or version",
        _OTHER_VERSION,
    ),
    _Meaning(
        r"not a valid chart repository|connection refused|no such host|i/o timeout|dial tcp|deadline exceeded|network is unreachable",
        ConnectionFailed,
        lambda _match, text: f"the repository cannot be reached: {text.partition('cannot be reached: ')[2] or text}",
        "Check the URL, the network and trinode_chart_mirror.",
    ),
    _Meaning(
        r"execution error at \((.+?)\): (.+)",
        InputError,
        lambda match, _text: f"the chart refuses the values: {match[2]} ({match[1]})",
        "Correct the values that it names.",
    ),
)


def explain(stderr: str, *, chart: str, repository: str = "") -> PlatformError:
    """The exception for a helm that failed; ``stderr`` is what it printed."""
    text = _clean(stderr)
    where = f"{chart} from {repository}" if repository else chart
    for meaning in _MEANINGS:
        if match := re.search(meaning.pattern, text):
            return meaning.error(meaning.what(match, text), where=where, hint=meaning.hint)
    return CommandError(f"helm failed: {text or 'without a word'}", where=where)


def _clean(stderr: str) -> str:
    """Helm's message without its warnings and its advice to use --debug."""
    lines = [line.strip() for line in stderr.splitlines()]
    kept = [line for line in lines if line and not line.startswith("WARNING:") and not line.startswith("Use --debug")]
    return "\n".join(kept).removeprefix("Error: ")


def _schema_findings(text: str) -> str:
    """The findings of helm's schema check, one sentence: "operator.replicas: got string, want integer"."""
    findings = []
    for line in text.splitlines():
        if match := re.match(r"^- at '([^']*)': (.+)$", line):
            findings.append(f"{match[1].strip('/').replace('/', '.') or 'values'}: {match[2]}")
        elif match := re.match(r"^- (\S+): (.+)$", line):
            findings.append(f"{match[1]}: {match[2]}")
    return "; ".join(findings) or text
