# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""talosconfig and kubeconfig as files: made from the secrets bundle and fetched from a control plane, renewed before they expire."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

import yaml

from ansible_collections.trinode.platform.plugins.module_utils import command, vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded, InputError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_kubeconfig import KubeContext, load_kubeconfig, merge, parse_kubeconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_plan import Wanted
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import ClientContext, read_talosconfig

_PRIVATE = 0o600


def current_talosconfig(path: str) -> ClientContext | None:
    """The talosconfig's context; None when there is none that can be used, so that a broken file is replaced."""
    try:
        return read_talosconfig(path)
    except InputError:
        return None


def current_kubeconfig(path: str) -> KubeContext | None:
    """The kubeconfig's context; None when there is none that can be used."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse_kubeconfig(file.read(), where=path)
    except (OSError, UnicodeDecodeError, InputError):
        return None


def make_talosconfig(bundle: str, wanted: Wanted, *, talosctl: str, deadline: Deadline) -> str:
    """A talosconfig with a new client certificate, signed by the bundle's authority, in memory."""
    argv = [talosctl, "gen", "config", wanted.cluster_name, wanted.cluster_endpoint, "--output-types", "talosconfig", "--output", "-"]
    result = command.run([*argv, "--with-secrets", "/dev/stdin"], deadline=deadline, stdin=bundle)
    if result.returncode != 0:
        raise CommandError(f"talosctl could not make a talosconfig: {' '.join(result.stderr.split())[:300]}", where="talosconfig")
    document = yaml.safe_load(result.stdout)
    context = document["contexts"][document["context"]]
    context |= {"endpoints": list(wanted.endpoints), "nodes": list(wanted.nodes)}
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=False)


def fetch_kubeconfig(endpoints: Sequence[str], *, talosctl: str, talosconfig: str, deadline: Deadline) -> str:
    """The administrator's kubeconfig from the first control plane that gives it. Raises DeadlineExceeded with the last reason."""
    while True:
        problem = ""
        for endpoint in endpoints:
            client = Talosctl(endpoint, program=talosctl, talosconfig=talosconfig)
            try:
                return client.run("kubeconfig", "-", "--merge=false", action="fetch the kubeconfig", deadline=deadline).stdout
            except ConnectionFailed as error:
                problem = str(error)
        if deadline.expired:
            raise DeadlineExceeded(
                f"no control plane gave a kubeconfig within {deadline.seconds:.0f} s; the last one said: {problem}", where=", ".join(endpoints)
            )
        progress(f"no control plane gives a kubeconfig yet: {problem}")
        deadline.pause(1.0)


def merged(path: str, kubeconfig: str) -> str | None:
    """What another kubeconfig holds once ours is merged into it; None when it holds all of it already."""
    try:
        with open(path, encoding="utf-8") as file:
            old = load_kubeconfig(file.read(), where=path)
    except FileNotFoundError:
        old = {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the file cannot be read", where=path) from error
    new = merge(old, load_kubeconfig(kubeconfig, where="kubeconfig"))
    return None if new == old else yaml.safe_dump(new, sort_keys=False, default_flow_style=False)


def write(path: str, text: str) -> None:
    """Write in one step, mode 0600."""
    vaulted_file.replace(path, text, "")


def has_loose_mode(path: str) -> bool:
    """Whether others than the owner may read or write the file."""
    try:
        return bool(stat.S_IMODE(os.stat(path).st_mode) & ~_PRIVATE)
    except FileNotFoundError:
        return False


def tighten_mode(path: str) -> None:
    os.chmod(path, _PRIVATE)
