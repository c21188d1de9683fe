"""A run that is killed at any moment is finished by the next one, and the one after that changes nothing."""

from __future__ import annotations

import pytest
from driver import Lab

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

FIRST_RUN_SECONDS = 100
"""About what a first run takes; the kills are spread over it."""


def spread(kills: int) -> list[float]:
    """Moments in seconds, evenly spread over a first run."""
    return [FIRST_RUN_SECONDS * (kill + 0.5) / kills for kill in range(kills)]


def killed_at(lab: Lab, moment: float) -> None:
    lab.again()
    lab.killed_playbook("site.yml", after=moment)
    rest = lab.playbook("site.yml")
    assert rest.returncode == 0, f"killed after {moment:.0f} s, the next run failed:\n{rest.output}"
    again = lab.playbook("site.yml")
    assert again.returncode == 0, again.output
    assert again.total("changed") == 0, f"killed after {moment:.0f} s:\n{again.output}"
    bootstraps = [event for event in lab.changes() if event["event"] == "bootstrap"]
    assert len(bootstraps) == 1


@pytest.mark.parametrize("moment", spread(20))
def test_killed(lab: Lab, moment: float) -> None:
    killed_at(lab, moment)
