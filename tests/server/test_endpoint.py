from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from headgate.server.endpoint import peer_of, reset
from headgate.wire.request import Peer


def with_connection(look: Callable[[asyncio.Transport, socket.socket], None]) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname(), timeout=30)
            ours, _ = listening.accept()
        with client:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, ours)
            look(transport, client)
            transport.abort()
            await asyncio.sleep(0)

    uvloop.run(run())


def test_both_ends() -> None:
    def look(transport: asyncio.Transport, client: socket.socket) -> None:
        _, port = client.getsockname()
        _, server_port = client.getpeername()
        assert peer_of(transport) == Peer("127.0.0.1", port, "127.0.0.1", server_port)

    with_connection(look)


def test_a_reset_is_no_fin() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname(), timeout=30)
            ours, _ = listening.accept()
        with client:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, ours)
            reset(transport)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(client.recv, 1)

    uvloop.run(run())
