# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller must have: talosctl and helm, new enough, and the password of an encrypted secrets file. Reads, and changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.command import run
from ansible_collections.trinode.platform.plugins.module_utils.compatibility import rules
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault

HELM_MINIMUM = (3, 14)
_TALOSCTL_TAG = re.compile(r"Tag:\s*(\S+)")
_INSTALL = {
    "trinode_talosctl": "Install it from Talos's releases, or name its path in trinode_talosctl.",
    "trinode_helm": "Install Helm, or name its path in trinode_helm.",
}


def check_controller(cluster: Values, vault_password: str, deadline: Deadline) -> Iterator[Finding]:
    """Asks both programs for their version and looks at the secrets file. Skips what depends on a setting that is wrong itself."""
    yield from _talosctl(cluster, deadline)
    yield from _helm(cluster, deadline)
    yield from _secrets_file(cluster, vault_password)


def _talosctl(cluster: Values, deadline: Deadline) -> Iterator[Finding]:
    name = "trinode_talosctl"
    version = yield from _version(cluster, name, ("version", "--client"), _TALOSCTL_TAG, deadline)
    talos = Version.parse(cluster.get("trinode_talos_version") or "")
    if version and talos and (objection := rules.client(version, talos)):
        yield Finding(objection.what, objection.hint, cluster.origin(name), variable=name)


def _helm(cluster: Values, deadline: Deadline) -> Iterator[Finding]:
    name = "trinode_helm"
    version = yield from _version(cluster, name, ("version", "--template", "{{.Version}}"), re.compile(r"(v\d\S*)"), deadline)
    if version and (objection := rules.at_least("helm", version, HELM_MINIMUM)):
        yield Finding(objection.what, objection.hint, cluster.origin(name), variable=name)


def _version(cluster: Values, name: str, arguments: Sequence[str], pattern: re.Pattern[str], deadline: Deadline) -> Generator[Finding, None, Version | None]:
    program = cluster.get(name)
    if program is None:
        return None
    try:
        result = run([os.path.expanduser(program), *arguments], deadline=deadline)
    except CommandError as error:
        yield Finding(error.what, _INSTALL[name], cluster.origin(name), variable=name)
        return None
    match = pattern.search(result.stdout)
    version = Version.parse(match[1]) if match else None
    if version is None:
        said = (result.stderr or result.stdout).strip().splitlines()
        yield Finding(
            f"{program} does not tell its version (exit code {result.returncode}{': ' + said[0] if said else ''})",
            _INSTALL[name],
            cluster.origin(name),
            variable=name,
        )
    return version


def _secrets_file(cluster: Values, vault_password: str) -> Iterator[Finding]:
    name = "trinode_secrets_file"
    path = os.path.expanduser(cluster.get(name) or "")
    if not path or not os.path.exists(path):
        return
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        yield Finding(f"the secrets file {path} cannot be read: {reason}", "Correct its owner or mode, or restore it.", cluster.origin(name), variable=name)
        return
    if not vault.is_vaulted(text):
        return
    if not vault_password:
        yield Finding(
            f"the secrets file {path} is encrypted, and this run has no vault password",
            "Give it with --vault-password-file, or set ANSIBLE_VAULT_PASSWORD_FILE.",
            cluster.origin(name),
            variable=name,
        )
        return
    try:
        vault.decrypt(text, vault_password, where=path)
    except (InputError, CommandError) as error:
        yield Finding(f"the secrets file {path}: {error.what}", error.hint, cluster.origin(name), variable=name)


def credentials_pending(cluster: Values) -> bool:
    """Whether the cluster has its secrets, and its talosconfig is still to be made from them (a fresh clone, say)."""
    secrets, talosconfig = (os.path.expanduser(cluster.get(name) or "") for name in ("trinode_secrets_file", "trinode_talosconfig"))
    return bool(talosconfig) and os.path.exists(secrets) and not os.path.exists(talosconfig)
