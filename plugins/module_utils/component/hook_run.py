# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running helm's hooks as helm does: in their order, each to its end, deleted when their policy says so."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.hooks import Hook
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_BEFORE = "before-hook-creation"
_SUCCEEDED = "hook-succeeded"
_FAILED = "hook-failed"


def run(access: Access, event: str, hooks: Sequence[Hook]) -> None:
    """Run the hooks of an event, given in their order. Raises PlatformError that names the hook when one fails; none after it has run then."""
    for hook in hooks:
        progress(f"running the {event} hook {hook.key}")
        item = access.place(hook.item)
        if _BEFORE in hook.delete:
            access.delete([item])
        [made] = apply.apply(access.client, [item], Request(force=True, wait=False), access.deadline)
        if hook.runs:
            _await_end(access, event, hook, made.after or item)
    access.delete([access.place(hook.item) for hook in hooks if _SUCCEEDED in hook.delete])


def _await_end(access: Access, event: str, hook: Hook, item: Object) -> None:
    try:
        wait.until_ready(access.client, [item], access.resources, access.deadline)
    except PlatformError as error:
        if _FAILED in hook.delete:
            with contextlib.suppress(PlatformError):
                access.delete([item])
        raise type(error)(f"the {event} hook failed: {error.what}", where=error.where or str(hook.key), hint=error.hint) from error
