# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What git's error texts mean, and what to do about them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.errors import (
    CommandError,
    ConnectionFailed,
    DeadlineExceeded,
    InputError,
    PlatformError,
    RefusedError,
)
from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import redact_text

_LONGEST = 1500
_NOISE = re.compile(r"hint: |Please make sure you have the correct|and the repository exists|failed to push some refs|Warning: Permanently|@@@|To |Done$")


@dataclass(frozen=True)
class _Meaning:
    """What an error text is recognised by, and what it is for the user. ``what`` gets git's text."""

    pattern: str
    error: type[PlatformError]
    what: Callable[[str], str]
    hint: str


def _says(sentence: str) -> Callable[[str], str]:
    """The sentence, and behind it git's own words."""
    return lambda text: f"{sentence}: {text}"


# The first that fits. From git's http.c, remote-curl.c, transport.c and receive-pack, OpenSSH, and what GitHub, GitLab, Gitea and Bitbucket answer.
_MEANINGS = (
    _Meaning(
        r"Load key .*: (invalid format|error in libcrypto|incorrect passphrase)|Load key .*passphrase",
        InputError,
        _says("the SSH key cannot be used"),
        "trinode_git_ssh_key is a private key in OpenSSH's or PEM format, without a passphrase (Ansible Vault protects it).",
    ),
    _Meaning(
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No \S+ host key is known",
        ConnectionFailed,
        _says("the server's SSH host key is unknown or another one"),
        "Compare the key that ssh-keyscan shows with what the server's operator publishes, and put its line into trinode_git_known_hosts.",
    ),
    _Meaning(
        r"marked as read.only|deploy key is read-only|write access to (this )?repository not granted|not allowed to (push|upload) code",
        RefusedError,
        _says("the credentials may read the repository, but not write to it"),
        "Give the deploy key, or the token, the right to write.",
    ),
    _Meaning(
        r"Permission denied \(|Too many authentication failures",
        InputError,
        _says("the server does not accept the SSH key"),
        "Add the public part of trinode_git_ssh_key to the repository as a deploy key that may write, and check the user name in trinode_git_url.",
    ),
    _Meaning(
        r"could not read (Username|Password)|Authentication failed|Access denied|returned error: 401",
        InputError,
        lambda _text: "the server does not accept the credentials, or got none and wants some",
        "Check trinode_git_username and trinode_git_token: is the token still valid, and may it read and write this repository?",
    ),
    _Meaning(
        r"returned error: 403",
        RefusedError,
        _says("the server forbids it with these credentials"),
        "Give the token the right to read and write the repository's contents.",
    ),
    _Meaning(
        r"hook declined|protected branch|\bGH0\d\d\b|\(push declined|prohibited by",
        RefusedError,
        lambda text: f"the server refuses the commit: {server_words(text) or text}",
        "Allow the user, or the key, to push to this branch, or name another one in trinode_git_branch.",
    ),
    _Meaning(
        r"returned error: 30\d|unable to update url base from redirection",
        InputError,
        lambda _text: "the server redirects to another address, where the credentials are not sent",
        "Write the new address into trinode_git_url.",
    ),
    _Meaning(
        r"repository .*not found|Repository not found|does not appear to be a git repository|returned error: 404|could not be found|not valid: is this a git"
        r"|dumb http transport|does not exist",
        InputError,
        _says("there is no such repository, or these credentials may not see it"),
        "Make an empty repository there, check trinode_git_url, and what the token or the key may see.",
    ),
    _Meaning(
        r"SSL certificate problem|certificate verif|SSL: no alternative certificate|error setting certificate|Problem with the SSL CA",
        ConnectionFailed,
        _says("the server's certificate is not accepted"),
        "Put the authority's certificate (PEM) into trinode_git_ca.",
    ),
    _Meaning(
        r"Could not resolve host|Connection refused|Failed to connect|Couldn't connect|timed out|No route to host|Network is unreachable"
        r"|Connection (closed|reset)|unable to connect|Empty reply|unexpected disconnect|remote end hung up|returned error: 5\d\d",
        ConnectionFailed,
        _says("the server cannot be reached"),
        "Check trinode_git_url, the network, and the proxy variables of the environment, and run it again: it looks what has arrived.",
    ),
    _Meaning(
        r"mismatched algorithms|object[- ]format",
        InputError,
        _says("the repository uses SHA-256"),
        "Argo CD and we need a repository of the usual format (SHA-1). Make a new one.",
    ),
    _Meaning(
        r"No space left on device|Permission denied|Read-only file system|insufficient permission",
        InputError,
        _says("the repository cannot be written"),
        "Check the directory's owner and the room on its file system.",
    ),
)


def explain(stderr: str, *, operation: str, where: str) -> PlatformError:
    """The exception for a git that failed; ``stderr`` is what it printed, without credentials."""
    text = _clean(stderr)
    for meaning in _MEANINGS:
        if re.search(meaning.pattern, text, re.IGNORECASE):
            return meaning.error(meaning.what(text), where=where, hint=meaning.hint)
    return CommandError(f"git {operation} failed: {text or 'without a word'}", where=where)


def too_slow(operation: str, where: str, seconds: float) -> PlatformError:
    """The exception for a git that did not end in time."""
    if operation in ("fetch", "push"):
        hint = "Is the server there, and does the network let it through? Raise the timeout if it is slow. The next run looks what has arrived."
        return ConnectionFailed(f"git {operation} was not answered within {seconds:.0f} s", where=where, hint=hint)
    return DeadlineExceeded(f"git {operation} did not end within {seconds:.0f} s", where=where, hint="Raise the timeout if the machine is slow.")


def server_words(text: str) -> str:
    """What the server itself said: the lines that git marks with "remote:"."""
    lines = (line.removeprefix("remote:").strip() for line in text.splitlines() if line.startswith("remote:"))
    return " ".join(line for line in lines if line and not re.fullmatch(r"[-=*. ]+", line))


def _clean(stderr: str) -> str:
    """Git's message without progress, advice, and general remarks, each line once."""
    lines = [re.sub(r"^(fatal|error|ERROR): ", "", line.rpartition("\r")[2].strip()) for line in stderr.splitlines()]
    return redact_text("\n".join(dict.fromkeys(line for line in lines if line and not _NOISE.match(line))))[:_LONGEST]
