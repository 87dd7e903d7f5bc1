"""The soak's visitors before gateways that are good and bad: what must be a violation is one, and what may be is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bench.load.orders import LoadProcess
from bench.soak.events import make_event
from tests.origin import EVENT_STREAM, Origin, Received, Wire
from tests.server.dead_ends import closed_port

CHUNKED = (b"Transfer-Encoding", b"chunked")
WAIT_S = 60.0

Behave = Callable[[Wire, bytes, int], Awaitable[None]]
"""What a gateway does with a stream: the connection, the key, and the number of the next event."""


def event(key: bytes, number: int, *, last: bool = False) -> bytes:
    return make_event(key, number, padding=20, last=last)


def visit(
    behave: Behave, done: Callable[[dict[str, Any]], bool], *, kinds: str = "plain", visitors: int = 4
) -> dict[str, Any]:
    """Have visitors come to a gateway that behaves so until ``done`` with the tally; give it."""

    async def gateway(request: Received, wire: Wire) -> None:
        after = request.get(b"last-event-id")
        await behave(wire, request.target.rpartition(b"/")[2], int(after) + 1 if after is not None else 0)

    with Origin() as origin:
        origin.on("/*", gateway)
        with LoadProcess("bench.soak.visitors", origin.port, 0, 1, visitors, kinds) as process:
            assert process.answer()["visitors"] >= visitors
            wait_tally(process, done)
            return process.ask("finish")


def wait_tally(process: LoadProcess, done: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done(tally := process.ask("tell")):
        assert time.monotonic() < deadline, tally
        time.sleep(0.02)


def violated(tally: dict[str, Any]) -> bool:
    return bool(tally["violated"])


async def begin(wire: Wire) -> None:
    await wire.head(200, EVENT_STREAM, CHUNKED)


async def not_found(wire: Wire, key: bytes, number: int) -> None:
    del key, number
    await wire.respond(404, b"no such route\n")


async def hang_up(wire: Wire, key: bytes, number: int) -> None:
    del key, number
    wire.fin()


async def reset(wire: Wire, key: bytes, number: int) -> None:
    del key, number
    wire.rst()


async def speak_otherwise(wire: Wire, key: bytes, number: int) -> None:
    del key, number
    await wire.send(b"220 smtp.example ready\r\n")
    await wire.gone()


async def end_too_early(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    await wire.chunk(event(key, number))
    await wire.last_chunk()


async def lose(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    await wire.chunk(event(key, number) + event(key, number + 2))
    await wire.gone()


async def mix(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    await wire.chunk(event(key, number) + event(b"another", number + 1))
    await wire.gone()


async def forget_where_it_was(wire: Wire, key: bytes, number: int) -> None:
    del number
    await begin(wire)
    await wire.chunk(event(key, 0))
    wire.fin()


@pytest.mark.parametrize(
    ("behave", "violation"),
    [
        (not_found, "status 404"),
        (hang_up, "fin before a response"),
        (reset, "rst before a response"),
        (speak_otherwise, "no HTTP"),
        (end_too_early, "a proper end behind event 0, which is not the last"),
        (lose, "event 2 behind event 0: lost"),
        (mix, "event 1 of stream another"),
        (forget_where_it_was, "event 0 behind event 0: doubled or out of order"),
    ],
)
def test_a_gateway_that_does_wrong_is_found_out(behave: Behave, violation: str) -> None:
    tally = visit(behave, violated)
    assert violation in tally["violations"][0]


def test_a_gateway_that_is_not_there_is_found_out() -> None:
    with (
        closed_port() as address,
        LoadProcess("bench.soak.visitors", address.rpartition(":")[2], 0, 1, 4, "plain") as process,
    ):
        process.answer()
        wait_tally(process, violated)
        assert "no connection: ConnectionRefusedError" in process.ask("finish")["violations"][0]


async def stream_and_cut(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    await wire.chunk(event(key, number) + event(key, number + 1) + b"id: 7\nda")
    wire.fin()


async def stream_to_the_end(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    await wire.chunk(event(key, number) + event(key, number + 1, last=True))
    await wire.last_chunk()


async def announce(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    await wire.chunk(event(key, number) + b"retry: 20\n\n")
    await wire.last_chunk()


async def be_overloaded(wire: Wire, key: bytes, number: int) -> None:
    del key, number
    await wire.respond(503, b"later\n")


@pytest.mark.parametrize(
    ("behave", "ended"),
    [(stream_and_cut, "fin"), (stream_to_the_end, "proper"), (announce, "proper"), (be_overloaded, "proper")],
)
def test_what_a_gateway_may_do_is_no_violation(behave: Behave, ended: str) -> None:
    tally = visit(behave, lambda tally: tally["ends"].get(ended, 0) >= 12)
    assert tally["violations"] == []
    assert tally["connections"] >= 12


def test_a_stream_is_resumed_where_it_was_and_after_the_time_that_was_told() -> None:
    tally = visit(announce, lambda tally: tally["by_retry"] >= 20, visitors=2)
    assert tally["resumed"] >= 15
    assert tally["retry_ms"] == [20, 20]
    assert tally["announced"]["retry"] >= 20


async def halve(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    while True:
        whole = event(key, number)
        await wire.chunk(whole[:20])
        await asyncio.sleep(0.02)  # the gap in which its reader may leave
        await wire.chunk(whole[20:])
        number += 1


async def flood(wire: Wire, key: bytes, number: int) -> None:
    await begin(wire)
    while True:
        await wire.chunk(event(key, number))
        number += 1


async def be_silent(wire: Wire, key: bytes, number: int) -> None:
    del key, number
    await wire.gone()


@pytest.mark.parametrize(
    ("kind", "behave", "done"),
    [
        ("torn", halve, lambda tally: tally["ends"].get("left", 0) >= 3),
        ("late", be_silent, lambda tally: tally["ends"].get("left", 0) >= 3),
        ("fat", flood, lambda tally: tally["events"] > 3000),
    ],
)
def test_each_manner_of_leaving_and_not_reading_is_played(
    kind: str, behave: Behave, done: Callable[[dict[str, Any]], bool]
) -> None:
    assert visit(behave, done, kinds=kind, visitors=20)["violations"] == []
