# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit messages: one line that says what has changed, the files, and trailers from which a later run knows our commits. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

COMPONENT, VERSIONS, TARGET = "Trinode-Component", "Trinode-Versions", "Trinode-Target"

_LONGEST_SUBJECT = 120
_LISTED = 40


@dataclass(frozen=True)
class Story:
    """What a commit does. ``before`` and ``after`` are versions by pin; the files are full paths.

    ``resources`` names the objects in the files, by path, as far as known; ``existed`` says whether any target was there before.
    """

    component: str
    targets: Sequence[str]
    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    removed: Sequence[str] = ()
    existed: bool = True
    absent: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    overwritten: Sequence[str] = ()

    @property
    def files(self) -> list[str]:
        return [*self.added, *self.changed, *self.removed]


def message(story: Story) -> str:
    """The whole message."""
    blocks = [subject(story)]
    listed = [f"{verb}: {path}" for verb in ("added", "changed", "removed") for path in getattr(story, verb)]
    if len(listed) > _LISTED:
        listed = [*listed[:_LISTED], f"and {len(listed) - _LISTED} more"]
    if listed:
        blocks.append("\n".join(listed))
    if story.overwritten:
        blocks.append("\n".join(["Overwrites edits of others:", *(f"- {line}" for line in story.overwritten[:_LISTED])]))
    trailers = [f"{COMPONENT}: {story.component}"]
    if story.after and not story.absent:
        trailers.append(f"{VERSIONS}: {' '.join(f'{pin}={version}' for pin, version in sorted(story.after.items()))}")
    trailers += [f"{TARGET}: {target}" for target in story.targets]
    return "\n\n".join([*blocks, "\n".join(trailers)]) + "\n"


def subject(story: Story) -> str:
    """The first line."""
    line = f"{story.component}: {_what(story)}"
    return line if len(line) <= _LONGEST_SUBJECT else f"{line[: _LONGEST_SUBJECT - 1].rstrip(' ,(')}…"


def _what(story: Story) -> str:
    if story.absent:
        return "removed"
    if not story.existed:
        return f"installed, {_counted(len(story.added), 'resource')}"
    versions = [_step(pin, story.before.get(pin, ""), story.after.get(pin, "")) for pin in sorted({*story.before, *story.after})]
    steps = [step for step in versions if step] if story.before and story.after else []
    if steps:
        return ", ".join([*steps, _amount(story)])
    if len(story.files) == len(story.changed):
        return f"values changed ({_named(story)})"
    return f"{_amount(story)} ({_named(story)})"


def _step(pin: str, before: str, after: str) -> str:
    if before == after:
        return ""
    if not before:
        return f"{pin} {after} added"
    return f"{pin} {before} -> {after}" if after else f"{pin} removed"


def _amount(story: Story) -> str:
    """ "3 resources changed, 1 added"."""
    parts = [(len(getattr(story, verb)), verb) for verb in ("changed", "added", "removed")]
    said = [(number, verb) for number, verb in parts if number]
    first, *others = said
    return ", ".join([f"{_counted(first[0], 'resource')} {first[1]}", *(f"{number} {verb}" for number, verb in others)])


def _named(story: Story) -> str:
    """The first object, and how many there are besides."""
    first, *others = story.files
    name = story.resources.get(first) or first
    return f"{name} and {len(others)} more" if others else name


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def versions_of(trailer: str) -> dict[str, str]:
    """The versions by pin of a trailer, such as "cert-manager=v1.21.1"."""
    parts = (word.partition("=") for word in trailer.split())
    return {pin: version for pin, sign, version in parts if sign}


def resource(text: str) -> str:
    """What the object in a file of ours is, such as "ConfigMap grafana/grafana"; "" when it is none."""
    kind = re.search(r"^kind: [\"']?([A-Za-z0-9]+)", text, re.MULTILINE)
    metadata = re.search(r"^metadata:\n((?:[ -].*\n?|\n)+)", text, re.MULTILINE)
    if not kind or not metadata:
        return ""
    found = {key: match[1] for key in ("namespace", "name") if (match := re.search(rf"^  {key}: [\"']?([^\s\"']+)", metadata[1], re.MULTILINE))}
    return f"{kind[1]} {'/'.join(found.values())}" if "name" in found else ""
