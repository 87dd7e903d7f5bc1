"""Silence longer than NGINX's 60 s does not end an event stream, unless its route says so; a request without an answer ends."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.client import Client
from tests.origin import Origin, Received, Wire
from tests.running_program import Program

SILENCE_S = 65.0
FIRST, LATE = b"data: first\n\n", b"data: after the silence\n\n"


@pytest.mark.slow
def test_what_sixty_five_seconds_of_silence_do(tmp_path: Path) -> None:
    async def stream(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(FIRST)
        await asyncio.sleep(SILENCE_S)
        await wire.chunk(LATE)
        await wire.last_chunk()

    async def no_head(_: Received, wire: Wire) -> None:
        await wire.gone()

    with Origin() as origin, Program(tmp_path) as program:
        for path in ("/plain", "/limited"):
            origin.on(path, stream)
        origin.on("/no-head", no_head)
        program.route("plain", "/plain", origin.address)
        program.route("limited", "/limited", origin.address, timeout={"connect": 2, "send": 2, "read": 2})
        program.route("no-head", "/no-head", origin.address)
        with (
            Client(program.port, timeout_s=SILENCE_S + 30) as plain,
            Client(program.port) as limited,
            Client(program.port, timeout_s=SILENCE_S + 30) as waiting,
        ):
            for client, target in ((plain, "/plain"), (limited, "/limited"), (waiting, "/no-head")):
                client.get(target)
            asked = time.monotonic()
            for client in (plain, limited):
                assert client.read_head().status == 200
                assert client.read_event().data == FIRST

            assert limited.read_rest() == b""  # no last chunk: a cut that the client can see
            assert 2 <= time.monotonic() - asked < 20

            head = waiting.read_head()
            assert head.status == 504
            assert 60 <= head.at - asked < SILENCE_S

            keepalives = 0
            while (late := plain.read_event()).data == b":\n\n":
                keepalives += 1
            assert keepalives == SILENCE_S // 15
            assert late.data == LATE
            assert late.at - asked >= SILENCE_S
            assert plain.read_body() == b""

    endings = {record["route"]: record["ending"] for record in program.records if "ending" in record}
    assert endings == {"plain": "complete", "limited": "upstream_stall", "no-head": "upstream_unreachable"}
