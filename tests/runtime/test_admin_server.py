from __future__ import annotations

import asyncio
import signal
import socket
import threading
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
        await server.stop()
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
        await server.stop()
        async with asyncio.timeout(10):
            await serving
        return answer

    assert uvloop.run(main()).startswith(b"HTTP/1.1 400 ")
    listening.close()


def test_no_request_is_lost_when_one_server_follows_another() -> None:
    """What the first has accepted it answers; what it has not waits for the second."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    answers: list[bytes | OSError] = []
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            try:
                with socket.create_connection(listening.getsockname(), timeout=60) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    answers.append(client.recv(15))
            except OSError as error:
                answers.append(error)

    async def main() -> None:
        for _ in range(10):
            server = AdminServer(app, [listening.dup().detach()], name="test")
            serving = asyncio.create_task(server.serve())
            goal = len(answers) + 50
            while len(answers) < goal:  # noqa: ASYNC110 - the visitors are threads
                await asyncio.sleep(0.001)
            await server.stop()
            async with asyncio.timeout(60):
                await serving
        done.set()
        last = AdminServer(app, [listening.dup().detach()], name="test")
        serving = asyncio.create_task(last.serve())
        for visitor in visitors:
            await asyncio.to_thread(visitor.join)
        await last.stop()
        await serving

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    uvloop.run(main())
    listening.close()
    assert {*answers} == {b"HTTP/1.1 200 OK"}
