from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
import uvloop

from headgate.server.endpoint import peer_of, reset_on_close
from headgate.wire.request import Peer


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_both_ends(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as listening:
        server_port = listening.getsockname()[1]
        with socket.create_connection((host, server_port), timeout=30) as client:
            ours, remote = listening.accept()
            with ours:
                assert peer_of(ours, remote) == Peer(host, client.getsockname()[1], host, server_port)


def test_both_ends_are_known_of_a_client_that_has_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), timeout=30)
        port = client.getsockname()[1]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        ours, remote = listening.accept()
        with ours:
            assert peer_of(ours, remote).remote_port == port


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
