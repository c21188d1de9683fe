from __future__ import annotations

from typing import Any, NoReturn

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import Handshake
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe


class Silent(Machine):
    """A machine whose handshake goes well, and whose calls come to an error."""

    def __init__(self, trust: str, error: PlatformError) -> None:
        super().__init__("192.0.2.11", talosctl="talosctl", talosconfig=None)
        self.trust = trust
        self.error = error

    def probe(self, *, deadline: Deadline) -> Handshake:
        del deadline
        return Handshake(self.trust, "f")

    def client(self) -> Any:
        return self

    def maintenance_client(self, fingerprint: str = "") -> Any:
        del fingerprint
        return self

    def get_all(self, *_kinds: str, deadline: Deadline) -> NoReturn:
        del deadline
        raise self.error


@pytest.mark.parametrize(
    ("trust", "error", "seen"),
    [
        ("ours", DeadlineExceeded("could not read machinestatus within 10 s"), "ours"),
        ("ours", ConnectionFailed("connection refused"), "ours"),
        # A slow machine says nothing of what it is; one that refuses every call is no Talos.
        ("maintenance", DeadlineExceeded("could not read machinestatus within 10 s"), "maintenance"),
        ("maintenance", ConnectionFailed("unexpected HTTP status"), "foreign"),
    ],
)
def test_a_machine_that_does_not_answer_is_a_result(trust: str, error: PlatformError, seen: str) -> None:
    found = observe(Silent(trust, error), deadline=Deadline(5))
    assert (found.trust, found.problem) == (seen, error.what)
