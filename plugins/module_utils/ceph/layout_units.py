# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts and names in words: read as Kubernetes and people write them, and written as people read them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError

_FACTORS = {"": 1, **{unit: 1000**power for power, unit in enumerate("kMGTP", 1)}, **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTP", 1)}}


def quantity(text: str | int, *, where: str) -> int:
    """Bytes of a quantity as Kubernetes writes it: ``4Gi``, ``500M``, ``1024``. Raises InputError, which names ``where``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if not found or found[2] not in _FACTORS:
        raise InputError(f"{text!r} is no amount of bytes", where=where, hint="Write it like 4Gi or 500M.")
    return int(float(found[1]) * _FACTORS[found[2]])


def disk_size(size: float) -> str:
    """``2.0 TB``, in powers of ten as disks are sold."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def memory_size(size: float) -> str:
    """``4.0 GiB``."""
    return f"{size / 1024**3:.1f} GiB"


def names(items: Iterable[str]) -> str:
    """``m1, m2 and m3``."""
    listed = list(items)
    return " and ".join(part for part in (", ".join(listed[:-1]), listed[-1] if listed else "") if part)
