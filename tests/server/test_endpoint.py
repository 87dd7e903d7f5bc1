from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from headgate.server.endpoint import peer_of, reset_on_close
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


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(("orders", "is_reset"), [([], False), ([True], True), ([True, False], False)])
def test_a_reset_is_no_fin(run: Any, orders: list[bool], how: str, *, is_reset: bool) -> None:
    """However the connection is closed, and after everything that was written."""

    async def close() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname(), timeout=30)
            ours, _ = listening.accept()
        with client:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, ours)
            for reset in orders:
                reset_on_close(transport, reset=reset)
            transport.write(b"x")
            assert await asyncio.to_thread(client.recv, 1) == b"x"
            transport.close() if how == "close" else transport.abort()
            if is_reset:
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(client.recv, 1)
            else:
                assert await asyncio.to_thread(client.recv, 1) == b""

    run(close())
