from __future__ import annotations

import asyncio
import socket
import struct

import pytest
import uvloop

from headgate.server.peer_watch import PeerWatch


@pytest.mark.parametrize("how", ["fin", "rst", "fin behind data"])
def test_an_end_is_heard_once_and_without_reading(how: str) -> None:
    async def run() -> None:
        ours, theirs = pair()
        with ours, theirs:
            watch, left = PeerWatch(asyncio.get_running_loop()), asyncio.Event()
            calls: list[int] = []

            def on_left() -> None:
                calls.append(1)
                left.set()

            watch.watch(ours.fileno(), on_left)
            theirs.sendall(b"unread")
            if how == "rst":
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                theirs.close()
            else:
                theirs.shutdown(socket.SHUT_WR)
            await asyncio.wait_for(left.wait(), 30)
            assert calls == [1]
            if how != "rst":
                assert ours.recv(100) == b"unread"
            watch.close()

    uvloop.run(run())


def test_data_is_no_end_and_what_is_forgotten_is_not_heard() -> None:
    async def run() -> None:
        (one, other), (kept, ended) = pair(), pair()
        with one, other, kept, ended:
            watch, left = PeerWatch(asyncio.get_running_loop()), asyncio.Event()
            heard: list[str] = []
            watch.watch(one.fileno(), lambda: heard.append("forgotten"))
            watch.watch(kept.fileno(), left.set)
            other.sendall(b"data")
            watch.forget(one.fileno())
            watch.forget(one.fileno())
            other.close()
            ended.close()
            await asyncio.wait_for(left.wait(), 30)
            assert heard == []
            watch.close()
            watch.close()

    uvloop.run(run())


def test_a_descriptor_may_be_watched_again() -> None:
    async def run() -> None:
        ours, theirs = pair()
        with ours, theirs:
            watch, left = PeerWatch(asyncio.get_running_loop()), asyncio.Event()
            for _ in range(3):
                watch.watch(ours.fileno(), left.set)
                watch.forget(ours.fileno())
            watch.watch(ours.fileno(), left.set)
            theirs.close()
            await asyncio.wait_for(left.wait(), 30)
            watch.close()

    uvloop.run(run())


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    return ours, theirs
