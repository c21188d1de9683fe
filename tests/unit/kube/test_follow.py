# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a collection loses nothing when the server forgets versions, restarts, or drops the connection."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection, Follower, Seen


def item(name: str, version: int) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name, "resourceVersion": str(version)}}


class Stream:
    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.closed = threading.Event()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()

    def __iter__(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            if event == "hang":
                self.closed.wait(10)
                return
            yield event

    def close(self) -> None:
        self.closed.set()


class Server:
    """Answers from a script; records what was asked."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[str] = []

    def list(self, _path: str, params: dict[str, str], *, deadline: Deadline) -> Any:
        assert params == {"labelSelector": "a=b"}
        self.asked.append("list")
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def open_watch(self, _path: str, version: str, _deadline: Deadline, params: dict[str, str]) -> Stream:
        assert params == {"labelSelector": "a=b"}
        self.asked.append(f"watch {version}")
        return Stream(self.watches.pop(0))


def follow(server: Server, expected: int) -> list[Seen]:
    news: queue.SimpleQueue[Seen] = queue.SimpleQueue()
    follower = Follower(server, Collection("/things", "a=b"), Deadline(300), news).start()  # type: ignore[arg-type]
    seen = [news.get(timeout=5) for _ in range(expected)]
    follower.stop()
    follower.join()
    return seen


def test_goes_on_from_the_last_version_when_the_stream_ends() -> None:
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    server = Server([([item("a", 1)], "5")], [[("MODIFIED", item("a", 7)), bookmark], [("DELETED", item("a", 11)), "hang"]])
    listed, modified, deleted = follow(server, 3)
    assert listed.complete
    assert not modified.gone
    assert deleted.gone
    assert server.asked == ["list", "watch 5", "watch 9"]


def test_lists_again_when_the_version_is_no_longer_kept() -> None:
    server = Server([([], "5"), ([item("b", 6)], "8")], [[ApiError("too old", code=410)], ["hang"]])
    first, second = follow(server, 2)
    assert first.complete
    assert second.items[0]["metadata"]["name"] == "b"
    assert server.asked == ["list", "watch 5", "list", "watch 8"]


def test_tries_again_when_the_server_is_away() -> None:
    server = Server([ApiUnreachable("no answer"), ([], "5")], [["hang"]])
    [seen] = follow(server, 1)
    assert seen.complete
    assert server.asked[:2] == ["list", "list"]


def test_a_refusal_ends_it_and_is_told() -> None:
    server = Server([ApiError("forbidden", code=403)], [])
    [seen] = follow(server, 1)
    assert seen.error is not None
    assert server.asked == ["list"]


def test_what_cannot_be_watched_is_listed_again_and_again() -> None:
    refused = [ApiError("the server does not allow this method on the requested resource", code=405)]
    server = Server([([], ""), ([item("a", 1)], "")], [list(refused), list(refused)])
    first, second = follow(server, 2)
    assert not first.items
    assert second.items[0]["metadata"]["name"] == "a"
    assert server.asked[:3] == ["list", "watch ", "list"]
