from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import httpx2
import uvloop

from headgate.runtime.admin_server import MAX_HEAD_BYTES, AdminServer


async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    peer = f"{scope['client'][0]} {scope['scheme']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"server", b"ours")]})
    await send({"type": "http.response.body", "body": peer})


def test_serves_on_a_passed_socket_and_leaves_it_open() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"

    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def main() -> None:
        before = handlers()
        server = AdminServer(app, [listening.dup().detach()], name="test")
        serving = asyncio.create_task(server.serve())
        async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
            response = await client.get(url, headers={"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"})
        after = handlers()
        server.stop()
        async with asyncio.timeout(10):
            await serving
        assert response.text == "127.0.0.1 http"
        assert response.headers.get_list("server") == ["ours"]
        assert after == before

    uvloop.run(main())
    # What comes now waits for the next server.
    with socket.create_connection(listening.getsockname()) as client:
        client.sendall(b"waiting")
        accepted, _ = listening.accept()
        assert accepted.recv(100) == b"waiting"
        accepted.close()
    listening.close()


def test_a_head_without_end_is_refused_before_anything_looks_at_it() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    async def main() -> bytes:
        server = AdminServer(app, [listening.dup().detach()], name="test")
        serving = asyncio.create_task(server.serve())
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1))
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
        server.stop()
        async with asyncio.timeout(10):
            await serving
        return answer

    assert uvloop.run(main()).startswith(b"HTTP/1.1 400 ")
    listening.close()
