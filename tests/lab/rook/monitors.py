"""Ceph itself: a connection to its monitors, and keys."""

from __future__ import annotations

import base64
import errno
import json
import os
import secrets
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECONDS = 15


class CephError(Exception):
    """Ceph did not do it, or did not answer."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number

    @property
    def absent(self) -> bool:
        return self.number == errno.ENOENT


def new_key() -> str:
    """A key of cephx: type AES, time, length, 16 random bytes."""
    secret = secrets.token_bytes(16)
    return base64.b64encode(struct.pack("<HIIH", 1, int(time.time()), 0, len(secret)) + secret).decode()


class Monitors:
    """Commands to the monitors over one lasting connection, as client.admin."""

    def __init__(self, configuration: str, key: str) -> None:
        self._path = Path("/run/ceph/ceph.conf")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        keyring = self._path.with_name("keyring")
        self._path.write_text(f"{configuration}\n[client]\nkeyring = {keyring}\n")
        keyring.write_text(f"[client.admin]\n\tkey = {key}\n")
        self.options = [f"--conf={self._path}"]  # for Ceph's programs
        self._cluster: Any = None

    def __call__(self, prefix: str, *, body: str = "", **arguments: Any) -> Any:
        """The answer to a command, decoded when it is JSON. Raises CephError."""
        command = json.dumps({"prefix": prefix, "format": "json", **arguments})
        number, answer, text = self._connected().mon_command(command, body.encode(), timeout=_SECONDS)
        if number:
            raise CephError(f"ceph {prefix}: {text or os.strerror(abs(number))}", abs(number))
        try:
            return json.loads(answer)
        except ValueError:
            return answer.decode()

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None

    def _connected(self) -> Any:
        import rados  # type: ignore[import-not-found]  # of Ceph's packages, which what else is in here does not need

        if self._cluster is None:
            cluster = rados.Rados(conffile=str(self._path), rados_id="admin", conf={"client_mount_timeout": str(_SECONDS)})
            try:
                cluster.connect(timeout=_SECONDS)
            except rados.Error as error:
                cluster.shutdown()
                raise CephError(f"the monitors do not answer: {error}") from error
            self._cluster = cluster
        return self._cluster

    def pool_ids(self) -> Mapping[str, int]:
        return {pool["pool_name"]: pool["pool"] for pool in self("osd dump")["pools"]}
