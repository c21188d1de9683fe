# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sealing keys are to be: in the file, which is the backup of all of them, and in the cluster. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.sealing.keys import KeyPair


@dataclass(frozen=True)
class Plan:
    """``make`` says why a new pair is needed, or is empty; ``kept`` are those that there are, newest first.

    ``backed_up`` of them are missing in the file, ``installed`` in the cluster, where a new pair comes on top.
    """

    make: str
    kept: tuple[KeyPair, ...]
    backed_up: tuple[KeyPair, ...]
    installed: tuple[KeyPair, ...]


def plan(file: Sequence[KeyPair], cluster: Sequence[KeyPair], now: dt.datetime, renew_days: int) -> Plan:
    """Every pair is in both places, since what an old one has sealed is still in the repository. ``renew_days`` 0 never renews."""
    in_file, in_cluster = {pair.fingerprint for pair in file}, {pair.fingerprint for pair in cluster}
    backed_up = tuple(pair for pair in cluster if pair.fingerprint not in in_file)
    kept = tuple(sorted((*file, *backed_up), key=lambda pair: pair.made, reverse=True))
    make = "" if kept else "there is none"
    if kept and renew_days and now - kept[0].made >= dt.timedelta(days=renew_days):
        make = f"the newest is {(now - kept[0].made).days} days old"
    return Plan(make, kept, backed_up, tuple(pair for pair in file if pair.fingerprint not in in_cluster))
