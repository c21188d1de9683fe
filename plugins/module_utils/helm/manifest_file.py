# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of manifests by URL and exact version, for what is not published as a chart; fetched once into the cache of charts."""

from __future__ import annotations

import os
import urllib.error
from dataclasses import dataclass, replace

from ansible.module_utils.urls import open_url

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm import cache
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class ManifestFile:
    """``url`` may hold {version}. ``digest`` (sha256:...) may be empty."""

    name: str
    url: str
    version: str
    digest: str = ""

    def __str__(self) -> str:
        return f"file {self.name} {self.version}"

    @property
    def address(self) -> str:
        return self.url.replace("{version}", self.version)

    def mirrored(self, mirror: str) -> ManifestFile:
        """The same file from a mirror, as NAME-VERSION.yaml. A mirror that is an OCI registry holds no such files."""
        if not mirror.startswith(("http://", "https://")):
            return self
        return replace(self, url=f"{mirror.rstrip('/')}/{self.name}-{self.version}.yaml")

    def validate(self) -> None:
        """Raises InputError unless version, digest and address are exact."""
        cache.require_exact(self.version, self.digest, str(self))
        if not self.address.startswith(("http://", "https://")):
            raise InputError(f"{self.url!r} is not an http(s) URL", where=str(self))


def fetch(file: ManifestFile, *, cache_directory: str, deadline: Deadline) -> str:
    """The path of the file in the cache; fetched when it is not there. Its digest is checked each time when there is one."""
    file.validate()

    def download(directory: str) -> str:
        return _download(file, directory, deadline)

    base, _slash, _name = file.address.rpartition("/")
    return cache.fetch(cache_directory, base, f"{file.name}-{file.version}.yaml", file.digest, download, what=str(file), source=file.address)


def _download(file: ManifestFile, directory: str, deadline: Deadline) -> str:
    path = os.path.join(directory, "file")
    progress(f"fetching {file} from {file.address}")
    deadline.check(f"{file} was not fetched")
    try:
        with (
            open_url(file.address, timeout=min(_ANSWER_SECONDS, deadline.remaining)) as answer,
            open(path, "wb") as output,
        ):
            while chunk := answer.read(1 << 20):
                deadline.check(f"{file} was not fetched")
                output.write(chunk)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise InputError("there is no such file", where=f"{file}, {file.address}", hint="Pin a version that exists, or bring it to the mirror.") from error
        raise ConnectionFailed(f"it was answered {error.code} {error.reason}", where=f"{file}, {file.address}") from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        hint = "Check the URL, the network and trinode_chart_mirror."
        raise ConnectionFailed(f"it cannot be fetched: {reason}", where=f"{file}, {file.address}", hint=hint) from error
    return path
