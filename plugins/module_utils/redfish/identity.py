# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the machine behind a BMC, or behind the Talos API, the one that is meant? Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.redfish.plan import Observed


def same_uuid(one: str, other: str) -> bool:
    """Whether two texts are the same UUID. Some firmware tells the first three fields with their bytes turned round (SMBIOS before 2.6)."""
    try:
        first, second = uuid.UUID(one), uuid.UUID(other)
    except ValueError:
        return one.lower() == other.lower()
    return second in (first, uuid.UUID(bytes=first.bytes_le))


def normal_mac(text: str) -> str:
    """``aa:bb:cc:dd:ee:ff``, from any of the usual ways to write it; empty when it is none."""
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2)) if len(digits) == 12 else ""


def check_identity(observed: Observed, *, serial: str, uuid_: str, macs: Sequence[str], where: str) -> None:
    """Raise RefusedError, with everything that differs, when the BMC reports another machine. What it does not report is no difference."""
    differences = list(_differences(observed, serial, uuid_, macs))
    if differences:
        raise RefusedError(
            f"another machine is behind this BMC: {'; '.join(differences)}; nothing was done",
            where=where,
            hint="Correct the BMC's address, or what the inventory says of the machine if it was replaced.",
        )


def _differences(observed: Observed, serial: str, uuid_: str, macs: Sequence[str]) -> Iterator[str]:
    if serial and observed.serials and serial.lower() not in (there.lower() for there in observed.serials):
        yield f"its serial number is {' or '.join(observed.serials)}, not {serial}"
    if uuid_ and observed.uuid and not same_uuid(uuid_, observed.uuid):
        yield f"its UUID is {observed.uuid}, not {uuid_}"
    # A BMC often lists the links of the board only, so one that is known is enough.
    there = {normal_mac(mac) for mac in observed.macs} - {""}
    if macs and there and not there & {normal_mac(mac) for mac in macs}:
        yield f"its links have the addresses {', '.join(sorted(there))}, and none of {', '.join(macs)}"
