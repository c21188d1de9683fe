# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sync that stands still is looked at again, and one that moves is left alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.argocd.attention import Attention
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection, Seen
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, progressing

COLLECTION = Collection("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications")
RUNNING = {"operationState": {"phase": "Running", "startedAt": "x"}}


class Access:
    """Argo CD's Applications, as far as an Attention uses them."""

    namespace = "argocd"

    def __init__(self, *, broken: bool = False) -> None:
        self.refreshed: list[str] = []
        self._broken = broken

    def refresh(self, name: str) -> int:
        self.refreshed.append(name)
        if self._broken:
            raise PlatformError("the server hung up")
        return 1


def _known(version: str, status: dict[str, Any]) -> Known:
    known = Known()
    item = {"metadata": {"name": "x", "namespace": "argocd", "resourceVersion": version}, "status": status}
    known.learn(Seen(COLLECTION, (item,), complete=True))
    return known


@pytest.mark.parametrize(
    ("looks", "refreshed"),
    [
        # Nothing moves for 15 s, and for 15 s again.
        ([(0, "1", RUNNING), (14, "1", RUNNING)], 0),
        ([(0, "1", RUNNING), (15, "1", RUNNING), (29, "1", RUNNING)], 1),
        ([(0, "1", RUNNING), (15, "1", RUNNING), (30, "1", RUNNING)], 2),
        # It moves.
        ([(0, "1", RUNNING), (14, "2", RUNNING), (28, "3", RUNNING)], 0),
        # There is no sync.
        ([(0, "1", {}), (60, "1", {})], 0),
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_a_sync_that_stands_still_is_looked_at(looks: list[tuple[float, str, dict[str, Any]]], refreshed: int, broken: bool) -> None:
    access = Access(broken=broken)
    attention = Attention(cast(Applications, access))
    goal = Goal("Application argocd/x", COLLECTION, lambda _known: READY, ("argocd", "x"))
    for now, version, status in looks:
        assert attention.hopeless(_known(version, status), {goal: progressing("it is being synced")}, now) is None
    assert access.refreshed == ["x"] * refreshed
