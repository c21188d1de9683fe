# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done about the admin's password. How Argo CD takes it is tested with its real server, in tests/contract/test_argocd_admin.py."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd.admin import Known, Step, plan


@pytest.mark.parametrize(
    ("accepted", "first_is_there", "steps"),
    [
        ("ours", False, []),
        # A run was killed after it had set the password.
        ("ours", True, ["forget"]),
        ("first", True, ["set", "forget"]),
        ("none", False, ["reset", "set", "forget"]),
        ("none", True, ["reset", "set", "forget"]),
    ],
)
def test_steps(accepted: Known, first_is_there: bool, steps: list[Step]) -> None:
    assert plan(accepted, first_is_there=first_is_there) == steps
