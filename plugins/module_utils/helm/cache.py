# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of charts and files: by repository, name and version. A file appears in it whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError

_VERSION = re.compile(r"v?\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def exact_version(text: str) -> bool:
    """Whether the text is one version, not a range."""
    return bool(_VERSION.fullmatch(text))


def require_exact(version: str, digest: str, where: str) -> None:
    """Raises InputError unless the version is one, and the digest is a digest or empty."""
    if not exact_version(version):
        raise InputError(f"{version!r} is not an exact version", where=where, hint="Pin one, such as 1.20.0; ranges change by themselves.")
    if digest and not _DIGEST.fullmatch(digest):
        raise InputError(f"{digest!r} is not a digest", where=where, hint="Write sha256: and 64 hexadecimal digits: that of the file.")


def fetch(directory: str, repository: str, name: str, digest: str, download: Callable[[str], str], *, what: str, source: str) -> str:
    """The path of a file in the cache. ``download`` is called with a directory when the file is not there, and returns the path of what it made there.

    A file that is there is used again without asking the repository, but its digest is checked when there is one. ``what`` and ``source`` name it in messages.
    """
    place = os.path.join(os.path.expanduser(directory), _readable(repository))
    path = os.path.join(place, name)
    if os.path.exists(path):
        if not digest or digest_of(path) == digest:
            return path
        os.unlink(path)
    try:
        os.makedirs(place, mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=".pull-") as temporary:
            made = download(temporary)
            if digest and (found := digest_of(made)) != digest:
                raise RefusedError(
                    f"its digest is {found}, not {digest}",
                    where=f"{what} from {source}",
                    hint="It was published anew, or this is another repository's file of that name. Look at what differs before you pin the new digest.",
                )
            os.replace(made, path)
    except OSError as error:
        raise InputError(f"the chart cache cannot be written: {error.strerror}", where=place) from error
    return path


def digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _readable(repository: str) -> str:
    """A directory name for a repository: readable, and different for different URLs."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", repository.partition("://")[2]).strip("-")
    return f"{readable}-{hashlib.sha256(repository.encode()).hexdigest()[:8]}"
