"""Of a lab or a kind cluster: one command at a time, and a state directory that is nobody else's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from trinode_lab.errors import LabError


@contextlib.contextmanager
def locked(what: str) -> Iterator[None]:
    """One `up` or `down` of "lab NAME" at a time. The lock is the kernel's, so a killed holder leaves none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        try:
            lock.bind(f"\0trinode/{what}")
        except OSError as error:
            raise LabError(f"another command is bringing {what} up or down just now; try again when it has ended") from error
        yield


def refuse_foreign(directory: Path, what: str, found: str | None) -> None:
    """`down` removes the state directory, so it must be new, empty, or say that it is of "lab NAME"; ``found``: what it says, None for nothing."""
    if found is None and directory.exists() and any(directory.iterdir()):
        raise LabError(f"the state directory {directory} holds something that is not a {what.partition(' ')[0]}'s; choose another with --state")
    if found not in (None, what):
        raise LabError(f"the state directory {directory} belongs to {found}; take that down first, or choose another with --state")
