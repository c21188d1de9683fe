"""The lab's Git server: smart HTTP with credentials on the bridge, by `git http-backend` over bare repositories in the lab's state.

Users and their passwords are made with the lab: one file a user in ``<state>/git/users``. Everybody who is known may read and push. Each push is in the
timeline, by the repository's post-receive hook. Run as ``python -m trinode_lab.git STATE ADDRESS PORT``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from trinode_lab.timeline import Timeline

PORT = 3000
REPOSITORY = "platform.git"
BRANCH = "main"
# The platform's own, and anybody else, so that the timeline tells them apart.
USERS = ("platform", "somebody")
_CHUNK = 1 << 16
_CONFIGURATION = {"http.receivepack": "true", "gc.auto": "0", "receive.autogc": "false"}


def prepare(directory: Path) -> None:
    """An empty repository and the users' passwords in ``<state>/git``."""
    users = directory / "users"
    users.mkdir(mode=0o700, parents=True)
    for user in USERS:
        with os.fdopen(os.open(users / user, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_urlsafe(24)}\n")
    repository = directory / "repositories" / REPOSITORY
    git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", "--template=", "--", str(repository))
    for name, value in _CONFIGURATION.items():
        git("--git-dir", str(repository), "config", name, value)
    hook = repository / "hooks" / "post-receive"
    hook.parent.mkdir()
    program = "import sys; sys.path.insert(0, sys.argv[1]); from trinode_lab import git; git.record(sys.argv[2])"
    root = Path(__file__).resolve().parents[1]
    hook.write_text(f"#!/bin/sh\nexec '{sys.executable}' -s -c '{program}' '{root}' '{directory.parent / 'timeline.jsonl'}'\n")
    hook.chmod(0o755)


def git(*arguments: str) -> str:
    """Output of git, without this computer's configuration."""
    return subprocess.run(["git", *arguments], env=_environment(), capture_output=True, text=True, check=True).stdout.strip()


def password(directory: Path, user: str) -> str:
    """A user's password; "" for a user who does not exist."""
    try:
        return (directory / "users" / user).read_text().strip() if user in USERS else ""
    except FileNotFoundError:
        return ""


def record(timeline: str) -> None:
    """The hook: one event for each branch that was pushed. It runs in the repository, and gets the branches on its input."""
    for line in sys.stdin:
        before, after, reference = line.split(None, 2)
        deleted, new = not after.strip("0"), not before.strip("0")
        forced = not new and not deleted and subprocess.run(["git", "merge-base", "--is-ancestor", before, after], check=False).returncode != 0
        Timeline(Path(timeline)).record(
            "git-push",
            repository=Path.cwd().name,
            branch=reference.strip().removeprefix("refs/heads/"),
            commit="" if deleted else after,
            before="" if new else before,
            user=os.environ.get("REMOTE_USER", ""),
            subject="" if deleted else git("log", "-1", "--format=%s", after, "--"),
            forced=forced,
        )


def _environment() -> dict[str, str]:
    mine = {key: value for key, value in os.environ.items() if key in ("PATH", "GIT_DIR", "GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "REMOTE_USER")}
    return {**mine, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


class Git(BaseHTTPRequestHandler):
    """Basic authentication, then CGI to git http-backend."""

    protocol_version = "HTTP/1.1"
    directory: Path

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.close_connection = True  # an answer's end is the connection's
        user = self._user()
        if user:
            self._backend(user)
            return
        for _ in self._body():
            pass  # or the client would see a reset instead of the answer
        self._answer(
            401, {"WWW-Authenticate": 'Basic realm="The lab\'s Git server"', "Content-Type": "text/plain"}, b"user and password are in <state>/git/users\n"
        )

    def _user(self) -> str:
        """The user who the request proves to be; "" for nobody."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            name, _, given = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        known = password(self.directory, name)
        return name if scheme.lower() == "basic" and known and hmac.compare_digest(known.encode(), given.encode()) else ""

    def _backend(self, user: str) -> None:
        url = urlsplit(self.path)
        variables = {
            "GIT_PROJECT_ROOT": str(self.directory / "repositories"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": user,
            "REMOTE_ADDR": self.client_address[0],
        }
        if "Content-Length" in self.headers:
            variables["CONTENT_LENGTH"] = self.headers["Content-Length"]
        with subprocess.Popen(["git", "http-backend"], env={**_environment(), **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as backend:
            assert backend.stdin
            assert backend.stdout
            feeder = threading.Thread(target=self._feed, args=(backend.stdin,), daemon=True)
            feeder.start()
            status, headers = 200, {}
            while line := backend.stdout.readline().strip():
                name, _, value = line.decode().partition(": ")
                if name == "Status":
                    status = int(value.split()[0])
                else:
                    headers[name] = value
            self._answer(status, headers)
            with contextlib.suppress(ConnectionError):  # the client has gone; the backend is still to end
                while chunk := backend.stdout.read1(_CHUNK):  # type: ignore[attr-defined]
                    self.wfile.write(chunk)
            feeder.join()

    def _feed(self, target: IO[bytes]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            for chunk in self._body():
                target.write(chunk)
        with contextlib.suppress(BrokenPipeError):
            target.close()

    def _body(self) -> Iterator[bytes]:
        """The request's body, of known length or in chunks (a large push)."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield from self._read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self._read(int(self.headers.get("Content-Length", 0)))

    def _read(self, size: int) -> Iterator[bytes]:
        while size > 0 and (chunk := self.rfile.read(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """The server of ``<state>/git``."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, directory: Path, address: str, port: int) -> None:
        super().__init__((address, port), type("Handler", (Git,), {"directory": directory}))


def main(state: Path, address: str, port: int) -> None:
    running = Server(state / "git", address, port)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
