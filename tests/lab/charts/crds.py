"""CustomResourceDefinitions with open schemas, from one line a kind."""

from __future__ import annotations

import re
from typing import Any

_KIND = re.compile(r"(?P<kind>\w+)/(?P<plural>\w+) (?P<scope>Ns|Cl) (?P<versions>\S.*)")

# The API server wants it of definitions in Kubernetes' own groups.
_APPROVED = {"api-approved.kubernetes.io": "unapproved, a double"}


def definitions(group: str, kinds: str) -> list[dict[str, Any]]:
    """The definitions of ``kinds``: "Kind/plural Ns v1*,v1beta1(not served); ...". Ns or Cl is the scope, * marks the version that is stored."""
    return [_definition(group, entry.strip()) for entry in kinds.split(";") if entry.strip()]


def _definition(group: str, entry: str) -> dict[str, Any]:
    match = _KIND.fullmatch(entry)
    if match is None:
        raise ValueError(f"not Kind/plural Ns|Cl versions: {entry!r}")
    kind, plural = match["kind"], match["plural"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": dict(_APPROVED) if group.endswith(".k8s.io") else {}},
        "spec": {
            "group": group,
            "scope": {"Ns": "Namespaced", "Cl": "Cluster"}[match["scope"]],
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [_version(text) for text in match["versions"].split(",")],
        },
    }


def _version(text: str) -> dict[str, Any]:
    return {
        "name": re.sub(r"[*]|\(not served\)", "", text),
        "served": "(not served)" not in text,
        "storage": "*" in text,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "subresources": {"status": {}},
    }
