# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's repository: which URLs are taken, and how git gets the credentials without showing them to anybody."""

from __future__ import annotations

import base64
import contextlib
import glob
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.git.program import Access
from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import redact_text

_PREFIX = "trinode-git-access-"
# git@host:organisation/repository.git
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9._-]+@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?!//)[^\s]+")


@dataclass(frozen=True)
class Remote:
    """A repository elsewhere. Credentials are not part of its representation."""

    url: str
    username: str = "git"
    token: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    known_hosts: str = ""
    ca: str = ""

    @property
    def kind(self) -> str:
        """How it is reached: http, ssh or file; empty for what we do not take."""
        if self.url.startswith(("https://", "http://")):
            return "http"
        if self.url.startswith("ssh://"):
            return "ssh"
        if self.url.startswith(("/", "file:///")):
            return "file"
        return "ssh" if _SCP_LIKE.fullmatch(self.url) and not self.url.startswith("-") else ""

    def check(self) -> None:
        """Raises InputError for a URL that we do not take."""
        if not self.kind or re.search(r"\s", self.url):
            hint = "Write https://HOST/PATH.git, ssh://git@HOST/PATH.git or git@HOST:PATH.git."
            raise InputError(f"{redact_text(self.url)!r} is not a URL of a Git repository", where="trinode_git_url", hint=hint)
        parts = urlsplit(self.url) if "://" in self.url else None
        if parts and (parts.password is not None or (self.kind == "http" and parts.username is not None)):
            raise InputError(
                f"the URL {redact_text(self.url)} carries credentials, which would be seen by everybody who sees the URL",
                where="trinode_git_url",
                hint="Take them out of it, and write them into trinode_git_username and trinode_git_token, the token encrypted with Ansible Vault.",
            )

    @property
    def credentials(self) -> list[str]:
        """What a URL with credentials in it would give away."""
        user, sign, _host = self.url.partition("://")[2].partition("/")[0].rpartition("@")
        return [part for part in (user, *user.split(":", 1)) if len(part) > 4] if sign else []

    @property
    def warning(self) -> str:
        """What the user should know, or nothing."""
        if self.token and self.url.startswith("http://"):
            return f"{self.url} is not encrypted: the token can be read on the way. Use HTTPS or SSH."
        return ""


@contextlib.contextmanager
def reached(remote: Remote | None) -> Iterator[Access]:
    """How git gets to the repository, for as long as the block lasts. What must be a file is one of mode 0600 in a private directory until then."""
    if remote is None or remote.kind == "file":
        yield Access()
        return
    _remove_left()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as directory:  # mode 0700
        yield http_access(remote, directory) if remote.kind == "http" else ssh_access(remote, directory)


def _remove_left() -> None:
    """Remove the directories of runs that were killed: nobody else would, and a key may be in them."""
    for path in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{_PREFIX}*-*")):
        process = os.path.basename(path).removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError, ValueError):
            if os.lstat(path).st_uid == os.getuid() and not _runs(int(process)):
                shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def http_access(remote: Remote, directory: str) -> Access:
    """Settings for HTTPS. The token goes into a header by a variable: never into an argument, the URL or a file."""
    # Credentials must not follow to where a server sends us.
    settings = [("http.followRedirects", "false")]
    secrets: list[str] = []
    if remote.token:
        header = base64.b64encode(f"{remote.username}:{remote.token}".encode()).decode()
        settings.append((f"http.{remote.url}.extraHeader", f"Authorization: Basic {header}"))
        secrets = [remote.token, header]
    variables = {}
    if remote.ca:
        # Before http.sslCAInfo counts a variable of the user's, so it is set the same way.
        variables["GIT_SSL_CAINFO"] = _write(directory, "ca.pem", remote.ca)
    return Access(settings, variables, secrets)


def ssh_access(remote: Remote, directory: str) -> Access:
    """Variables for SSH."""
    key = _write(directory, "key", remote.ssh_key) if remote.ssh_key else ""
    known_hosts = _write(directory, "known_hosts", remote.known_hosts) if remote.known_hosts else ""
    return Access(variables={"GIT_SSH_COMMAND": ssh_command(key, known_hosts), "GIT_SSH_VARIANT": "ssh"})


def ssh_command(key: str, known_hosts: str) -> str:
    """How git calls ssh. Without a key the user's agent and ~/.ssh count, without known hosts the user's own; an unknown host is never trusted. Pure."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=15", "ServerAliveInterval=15"]
    if known_hosts:
        options += [f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no"]
    words = ["ssh"]
    if key:
        # The user's ~/.ssh/config could offer other keys.
        words += ["-F", os.devnull, "-i", key]
        options += ["IdentitiesOnly=yes", "IdentityAgent=none", "PreferredAuthentications=publickey"]
    return shlex.join([*words, *(word for option in options for word in ("-o", option))])


def _write(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")
    return path
