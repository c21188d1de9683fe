# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that hold secrets: encrypted with Ansible Vault where there is a password, mode 0600 in any case, never half written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault


def read_text(path: str) -> tuple[str, int]:
    """A file's text and permission bits."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError as error:
        raise InputError("the file does not exist", where=path, hint="Check the path; the cluster play makes the secrets file on its first run.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}", where=path) from error


def decrypted(text: str, vault_password: str, *, where: str) -> str:
    """The text itself, or what the vault file that it is holds."""
    if not vault.is_vaulted(text):
        return text
    if not vault_password:
        raise InputError("the file is encrypted with Ansible Vault and no vault password was given", where=where, hint="Run with --vault-password-file.")
    return vault.decrypt(text, vault_password, where=where)


def create(path: str, text: str, vault_password: str) -> bool:
    """Write a new file, mode 0600, encrypted when there is a password. False when the file exists meanwhile: it is left alone."""
    directory = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with _temporary(path, _sealed(text, vault_password)) as temporary:
            _link(temporary, path)
            _sync_directory(directory)
    except FileExistsError:
        return False
    except OSError as error:
        raise InputError(f"the file cannot be written: {error.strerror}", where=path) from error
    return True


def _link(temporary: str, path: str) -> None:
    """Give the file its name. A hard link, unlike a rename, never replaces a file that another run has just made."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        # A file system without hard links; what remains is a moment between look and rename.
        if os.path.lexists(path):
            raise FileExistsError(path) from error
        os.rename(temporary, path)


def replace(path: str, text: str, vault_password: str) -> None:
    """Write a file in place of the old one, in one step, mode 0600, encrypted when there is a password."""
    directory = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with _temporary(path, _sealed(text, vault_password)) as temporary:
            os.replace(temporary, path)
            _sync_directory(directory)
    except OSError as error:
        raise InputError(f"the file cannot be written: {error.strerror}", where=path) from error


def _sealed(text: str, vault_password: str) -> str:
    return vault.encrypt(text, vault_password) if vault_password else text


@contextlib.contextmanager
def _temporary(path: str, text: str) -> Iterator[str]:
    """A synced file of mode 0600 with this text, beside ``path``; gone afterwards unless it was renamed."""
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(os.path.abspath(path)))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
