# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calling git: no settings, hooks or variables of the user's, always under a deadline, and credentials only in the environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.command import CommandResult
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.git import failures

# Where the user's installation of git is, and whose certificates count; other variables of git's could change what we do, or log our credentials.
_KEPT = frozenset({"GIT_EXEC_PATH", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"})
_ALWAYS = {
    "LC_ALL": "C",  # failures.py knows the messages in English
    "LANGUAGE": "C",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",  # empty: no program is asked, not even core.askPass or SSH_ASKPASS
    "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
    "GIT_OPTIONAL_LOCKS": "0",
}


@dataclass(frozen=True)
class Access:
    """How a remote is reached: settings of git, and variables. ``secrets`` are texts that no message may hold."""

    settings: Sequence[tuple[str, str]] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()


@dataclass(frozen=True)
class Git:
    """git in a bare repository. ``remote`` is the URL for messages."""

    directory: str
    deadline: Deadline
    access: Access = Access()
    remote: str = ""

    def __call__(self, *arguments: str, stdin: str | None = None, variables: Mapping[str, str] | None = None, accept: Iterable[int] = (0,)) -> CommandResult:
        """Run git. Raises what an exit code that is not among ``accept`` means."""
        values = {**environment(self.directory, self.access), **(variables or {})}
        argv = command_line(arguments, set(os.environ) - set(values))
        try:
            result = command.run(argv, deadline=self.deadline, stdin=stdin, environment=values)
        except CommandError as error:
            if self.deadline.expired:
                raise failures.too_slow(arguments[0], self.remote or self.directory, self.deadline.seconds) from error
            raise
        if result.returncode not in set(accept):
            raise self.failure(arguments[0], result)
        return result

    def failure(self, operation: str, result: CommandResult) -> PlatformError:
        """What it means that git failed."""
        # Of standard output, push says there which reference was not taken.
        said = "\n".join([result.stderr, *(line for line in result.stdout.splitlines() if line.startswith("!"))])
        return failures.explain(scrubbed(said, self.access), operation=operation, where=self.remote or self.directory)


def require_git() -> None:
    """Raises CommandError when there is no git."""
    if shutil.which("git") is None:
        raise CommandError("the program git was not found", hint="Install Git 2.32 or newer where Ansible runs; the platform is kept in a repository.")


def command_line(arguments: Sequence[str], inherited: Iterable[str]) -> list[str]:
    """The argv of git. ``inherited`` are the variables that we do not set ourselves; git's among them are removed. Pure."""
    dropped = sorted(name for name in inherited if (name.startswith("GIT_") and name not in _KEPT) or name == "SSH_ASKPASS")
    prefix = ["env", *(word for name in dropped for word in ("-u", name))] if dropped else []
    return [*prefix, "git", *arguments]


def environment(directory: str, access: Access) -> dict[str, str]:
    """The variables that git gets. Pure."""
    settings = [
        ("core.hooksPath", os.devnull),
        ("core.quotePath", "true"),
        ("credential.helper", ""),
        ("gc.autoDetach", "false"),  # nothing outlives us
        ("safe.directory", directory),  # the repository is named by the inventory; in a container it may belong to another user
        *access.settings,
    ]
    found = {**_ALWAYS, "GIT_DIR": directory, **access.variables, "GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        found[f"GIT_CONFIG_KEY_{index}"], found[f"GIT_CONFIG_VALUE_{index}"] = key, value
    return found


def scrubbed(text: str, access: Access) -> str:
    """A text of git's without the credentials, should a server have echoed them."""
    for secret in sorted(access.secrets, key=len, reverse=True):
        text = text.replace(secret, "<redacted>") if secret else text
    return text
