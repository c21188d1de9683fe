# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups of etcd are kept, what they are called, and which of them are no longer wanted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO, Protocol

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_seal import read_header

_STAMP = "%Y%m%dT%H%M%SZ"
_SUFFIX = ".backup"
_WORK = ".etcd-snapshot-"
_LOCK_SECONDS = 1.0


class Store(Protocol):
    """A place for backups. ``where`` says in words where one of them is."""

    def where(self, name: str) -> str: ...
    def names(self) -> list[str]: ...
    def put(self, name: str, path: str) -> None: ...
    def fetch(self, name: str, file: IO[bytes]) -> None: ...
    def remove(self, name: str) -> None: ...


def backup_name(cluster: str, taken: datetime) -> str:
    """``etcd-lab-20261130T115200Z.backup``: in the order of their names, backups of one cluster are in the order of their age."""
    return f"etcd-{cluster}-{taken.astimezone(UTC).strftime(_STAMP)}{_SUFFIX}"


def ours(names: Iterable[str], cluster: str) -> list[str]:
    """Those of these names that are backups of this cluster, oldest first. A cluster whose name begins with this one's is another one."""
    pattern = re.compile(rf"etcd-{re.escape(cluster)}-\d{{8}}T\d{{6}}Z{re.escape(_SUFFIX)}")
    return sorted(name for name in names if pattern.fullmatch(name))


def outdated(names: Iterable[str], cluster: str, *, keep: int) -> list[str]:
    """What may go so that the newest ``keep`` backups of this cluster stay, oldest first; nothing for 0."""
    found = ours(names, cluster)
    return found[:-keep] if keep > 0 else []


class Directory:
    """Backups in a directory of the controller. A file counts as one only when it says itself that it is."""

    def __init__(self, path: str) -> None:
        self.path = path

    def where(self, name: str) -> str:
        return os.path.join(self.path, name)

    def names(self) -> list[str]:
        with _explained(self.path, "read"):
            entries = os.listdir(self.path) if os.path.isdir(self.path) else []
        return [name for name in entries if name.endswith(_SUFFIX) and self._is_backup(name)]

    def put(self, name: str, path: str) -> None:
        """Give a file of the same file system its name. An existing one is never replaced."""
        try:
            with _explained(self.where(name), "written"):
                os.link(path, self.where(name))
                handle = os.open(self.path, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        except FileExistsError as error:
            raise RefusedError("there is a backup of this second already", where=self.where(name), hint="Run it again.") from error

    def fetch(self, name: str, file: IO[bytes]) -> None:
        with _explained(self.where(name), "read"), open(self.where(name), "rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)

    def remove(self, name: str) -> None:
        with _explained(self.where(name), "removed"), contextlib.suppress(FileNotFoundError):
            os.unlink(self.where(name))

    def _is_backup(self, name: str) -> bool:
        try:
            with open(self.where(name), "rb") as file:
                read_header(file, where=name)
        except (OSError, PlatformError):
            return False
        return True


@contextlib.contextmanager
def work_directory(parent: str, deadline: Deadline) -> Iterator[str]:
    """A private directory in ``parent``, gone afterwards. One run at a time has it, so what an earlier one left (it was killed) is removed first."""
    with _explained(parent, "used"):
        os.makedirs(parent, mode=0o700, exist_ok=True)
        handle = os.open(parent, os.O_RDONLY)
    try:
        _lock(handle, parent, deadline)
        with _explained(parent, "used"):
            for name in os.listdir(parent):
                if name.startswith(_WORK):
                    shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=parent) as path:
            yield path
    finally:
        os.close(handle)


def _lock(handle: int, parent: str, deadline: Deadline) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            deadline.check("another run that uses this directory did not end", where=parent, hint="Wait for it, or raise the timeout.")
            # There is nothing to watch about a lock.
            deadline.pause(_LOCK_SECONDS)
        else:
            return


@contextlib.contextmanager
def _explained(where: str, what: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise InputError(f"it cannot be {what}: {error.strerror}", where=where, hint="Check the path, its permissions and the space that is left.") from error
