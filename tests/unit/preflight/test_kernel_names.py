# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel name is refused with the names to copy."""

from __future__ import annotations

from disk_samples import disk

from ansible_collections.trinode.platform.plugins.module_utils.preflight.constraints import install_disk
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.kernel_names import with_names

PROBLEM = install_disk({"by_id": "/dev/sdb"})
assert PROBLEM
FINDING = Finding(PROBLEM.what, PROBLEM.hint, hosts=("m1", "m2", "m3"), variable="machine_install_disk")
OTHER = Finding("it is empty", "Leave it out.", hosts=("m1",), variable="machine_install_disk")


def test_each_machine_that_answers_tells_its_own_names() -> None:
    disks = {"m1": [disk("sda"), disk("sdb")], "m2": [disk("sda", "T")]}
    assert [(finding.hosts, finding.what, finding.hint) for finding in with_names([FINDING, OTHER], disks)] == [
        (("m1",), FINDING.what, "Copy the name that stays with the disk: /dev/sdb is now {by_id: ata-SSD_870_S-sdb}."),
        (("m2",), FINDING.what, "Copy the name that stays with the disk: /dev/sda is now {by_id: ata-SSD_870_T}."),
        (("m3",), FINDING.what, FINDING.hint),
        (("m1",), OTHER.what, OTHER.hint),
    ]


def test_nobody_answers() -> None:
    assert with_names([FINDING, OTHER], {}) == [FINDING, OTHER]
