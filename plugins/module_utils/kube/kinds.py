# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of one kind: a small request for its group and version, where the listing of everything would be large."""

from __future__ import annotations

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, group_version
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_LOOK_SECONDS = 0.5


class Kinds:
    """Finds resources by apiVersion and kind, and remembers the group versions that it has read. For one thread."""

    def __init__(self, client: Client, deadline: Deadline) -> None:
        self._client = client
        self._deadline = deadline
        self._read: dict[str, dict[str, Resource]] = {}

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource, or None where the server does not serve it now."""
        if kind not in self._read.get(api_version, {}):
            self._read[api_version] = group_version(self._client, api_version, self._deadline)
        return self._read[api_version].get(kind)

    def require(self, api_version: str, kind: str) -> Resource:
        """The resource; InputError where the server does not serve it."""
        found = self.find(api_version, kind)
        if found is None:
            others = sorted(self._read[api_version])
            raise InputError(
                f"the cluster does not serve {kind} ({api_version})",
                where=self._client.server,
                hint=f"{api_version} has {', '.join(others)}." if others else "Install the component that brings it, or correct apiVersion and kind.",
            )
        return found

    def await_served(self, api_version: str, kind: str) -> Resource:
        """The resource, once it is served: a listing of kinds cannot be watched. DeadlineExceeded when that does not come."""
        said = False
        while (found := self.find(api_version, kind)) is None:
            if self._deadline.remaining <= _LOOK_SECONDS:
                raise DeadlineExceeded(
                    f"{kind} ({api_version}) was not served within {self._deadline.seconds:.0f} s",
                    where=self._client.server,
                    hint="The component that brings its CustomResourceDefinition is not installed or does not run, or apiVersion and kind are wrong.",
                )
            if not said:
                progress(f"waiting until {kind} ({api_version}) is served")
                said = True
            self._deadline.pause(_LOOK_SECONDS)
        return found
