"""An origin of the soak: plays streams by their kind, and breaks them when told to.

``python -m bench.soak.origin PORT`` answers ``{"port": PORT}``. Orders: ``reset`` ends ``streams`` of the running ones with RST,
``cut`` within an event by FIN, without a last chunk; ``tell`` answers the numbers. The origin knows nothing of a key: a
stream begins behind its Last-Event-ID.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
from typing import cast

import uvloop
from bench.load.orders import Message, answer, on_order
from bench.soak.events import make_event
from bench.soak.kinds import KINDS, Kind

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
HALF_S = 0.3
BLOCKED_S = 0.5
"""How soon an origin looks again whether a gateway that took no more does so now."""


class Stream:
    """One response: which event is next, and how it goes out."""

    def __init__(self, kind: Kind, key: bytes, after: int) -> None:
        by_key = random.Random(key)
        self.kind = kind
        self.key = key
        self.number = after + 1
        self.gap_s = by_key.uniform(*kind.gap_s)
        self.head_s = by_key.uniform(*kind.head_s)
        self.first_s = by_key.uniform(*kind.first_s)
        self.last = by_key.randint(*kind.events) if kind.events is not None else None
        self.is_framed = by_key.random() >= kind.unframed_share
        self._line_end = by_key.choice([b"\n", b"\n", b"\n", b"\r\n"])

    @property
    def is_over(self) -> bool:
        """Whether the last event has gone out."""
        return self.last is not None and self.number > self.last

    def head(self) -> bytes:
        """Give the response's head."""
        return HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if self.is_framed else b"Connection: close\r\n\r\n")

    def next_event(self) -> bytes:
        """Make the next event."""
        padding = random.randint(*self.kind.padding_bytes)
        is_last = self.number == self.last
        event = make_event(self.key, self.number, padding=padding, last=is_last, line_end=self._line_end)
        self.number += 1
        return event

    def frame(self, content: bytes) -> bytes:
        """Make a chunk, where there are chunks."""
        return b"%x\r\n%b\r\n" % (len(content), content) if self.is_framed else content


class Source(asyncio.Protocol):
    """One connection from the gateway, and the stream that it asks for, one after the other."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._head = b""
        self._timer: asyncio.TimerHandle | None = None
        self._is_blocked = False
        self._half = b""
        self.stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio's callback)."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by isinstance

    def data_received(self, data: bytes) -> None:
        """Read a request and begin its stream behind the pause that its kind has."""
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        line, *fields = self._head.partition(b"\r\n\r\n")[0].split(b"\r\n")
        self._head = b""
        _, name, key = line.split(b" ")[1].split(b"/")
        after = [
            value for one, _, value in (field.partition(b":") for field in fields) if one.lower() == b"last-event-id"
        ]
        self.stream = Stream(KINDS[name.decode()], key, int(after[0]) if after else -1)
        self._after(self.stream.head_s, self._begin)

    def connection_lost(self, exc: Exception | None) -> None:
        """Play no more."""
        del exc
        self._stop()

    def pause_writing(self) -> None:
        """Wait: the gateway takes no more."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """Go on: it takes more."""
        self._is_blocked = False

    def reset(self) -> None:
        """End with RST."""
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._stop()
        self._transport.abort()

    def cut(self) -> None:
        """End within an event, by FIN, and without a last chunk."""
        assert self.stream is not None
        content = self._half or self.stream.next_event()
        self._transport.write(self.stream.frame(content[: len(content) // 2]))
        self._stop()
        self._transport.close()

    def _stop(self) -> None:
        self._origin.playing.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self.stream = None

    def _after(self, delay_s: float, action: object) -> None:
        self._timer = self._origin.loop.call_later(delay_s, action)  # type: ignore[arg-type]  # any of the methods below

    def _begin(self) -> None:
        assert self.stream is not None
        self._transport.write(self.stream.head())
        self._origin.playing.add(self)
        self._after(self.stream.first_s, self._play)

    def _play(self) -> None:
        """Send what is due, and come back for the next."""
        stream = self.stream
        assert stream is not None
        if self._is_blocked:
            self._after(BLOCKED_S, self._play)
        elif stream.is_over:
            self._end()
        elif stream.kind.halves:
            self._play_half()
        else:
            self._transport.write(stream.frame(b"".join(stream.next_event() for _ in range(stream.kind.burst))))
            self._origin.sent += stream.kind.burst
            self._after(stream.gap_s, self._play)

    def _play_half(self) -> None:
        stream = self.stream
        assert stream is not None
        if self._half:
            self._transport.write(stream.frame(self._half))
            self._half = b""
            self._origin.sent += 1
            self._after(stream.gap_s, self._play)
        else:
            event = stream.next_event()
            self._transport.write(stream.frame(event[: len(event) // 2]))
            self._half = event[len(event) // 2 :]
            self._after(HALF_S, self._play)

    def _end(self) -> None:
        assert self.stream is not None
        is_framed = self.stream.is_framed
        self._stop()
        if is_framed:
            self._transport.write(b"0\r\n\r\n")
        else:
            self._transport.close()


class Origin:
    """All connections. ``playing`` are those whose response flows; ``sent`` counts events."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.playing: set[Source] = set()
        self.sent = 0

    def obey(self, message: Message) -> None:
        """Take an order."""
        match message["order"]:
            case "tell":
                answer(sent=self.sent, streams=len(self.playing))
            case "reset" | "cut" as how:
                victims = random.sample(list(self.playing), min(message["streams"], len(self.playing)))
                for source in victims:
                    source.reset() if how == "reset" else source.cut()
                answer(streams=len(victims))


def main(port: int) -> None:
    """Serve until stdin ends."""
    loop = uvloop.new_event_loop()
    origin = Origin(loop)
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    loop.run_until_complete(loop.create_server(lambda: Source(origin), sock=listener, backlog=4096))
    answer(port=listener.getsockname()[1])
    on_order(loop, origin.obey)
    loop.run_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
