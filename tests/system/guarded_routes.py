"""The program with an origin behind it, routes with ``stream-guard``, and what became of their exchanges.

A response is read to the end of its connection, so that a test sees how it ended: :func:`take_apart` says whether its
framing was complete.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.client import Client, Ended, Head
from tests.origin import Origin
from tests.running_program import Program

CHUNKED = (b"Transfer-Encoding", b"chunked")
CLOSE = (b"Connection", b"close")
_SAMPLE = re.compile(r"^(\w+)\{\w+=\"(\w*)\"\} (\S+)$", re.MULTILINE)
_SIZE_LINE = re.compile(rb"([0-9a-f]+)\r\n")


class Body(NamedTuple):
    """A body freed of its framing; ``is_whole``: the framing said that it is complete."""

    data: bytes
    is_whole: bool


class Seen(NamedTuple):
    """A response as its client saw it. ``ended`` is how the connection ended."""

    head: Head
    data: bytes
    is_whole: bool
    ended: Ended | None


class GuardedRoutes:
    """The program; each test writes a route of its own, ``/NAME`` with the id NAME."""

    def __init__(self, program: Program, origin: Origin) -> None:
        self.program = program
        self.origin = origin

    @property
    def port(self) -> int:
        """The proxy's port."""
        return self.program.port

    @property
    def worker(self) -> int:
        """The pid of the one worker."""
        [pid] = self.program.children("worker")
        return pid

    def route(self, name: str, guard: dict[str, Any] | None = None, *origins: Origin | str, **more: object) -> None:
        """Write a route to these upstreams, tried in this order; by default to the one that is there.

        No ``guard`` is no plugin.
        """
        addresses = [one if isinstance(one, str) else one.address for one in origins or (self.origin,)]
        nodes = [
            {"host": host, "port": int(port), "weight": 1, "priority": -place}
            for place, (host, _, port) in enumerate(address.partition(":") for address in addresses)
        ]
        plugins = {} if guard is None else {"stream-guard": guard}
        upstream = {"type": "roundrobin", "nodes": nodes}
        document = {"uri": f"/{name}", "plugins": plugins, "upstream": upstream, **more}
        answer = self.program.put(f"routes/{name}", document)
        assert answer.status in {200, 201}, answer

    def record(self, name: str, event: str = "stream_ended") -> dict[str, Any]:
        """Wait for a route's record in the access log."""
        return self.program.wait_record(lambda one: (one["event"], one.get("route")) == (event, name))

    def counts(self, *metrics: str) -> Counter[tuple[str, str]]:
        """Give these counters, which have one label, by name and label; without those that are 0."""
        text = self.program.admin("GET", "/apisix/prometheus/metrics").text
        samples = ((one[1], one[2], int(float(one[3]))) for one in _SAMPLE.finditer(text))
        return Counter({(name, label): value for name, label, value in samples if name in metrics and value})

    def wait_metric(self, sample: str, value: float) -> None:
        """Wait until a sample of the metrics has a value."""
        self.program.wait_for(lambda: self.program.metric(sample) == value, f"{sample} {value}")


def read_to_end(client: Client) -> Seen:
    """Read a whole response whose connection ends with it."""
    head = client.read_head()
    body = take_apart(head, client.read_rest(), client.ended)
    return Seen(head, body.data, body.is_whole, client.ended)


def take_apart(head: Head, raw: bytes, ended: Ended | None) -> Body:
    """Free a body of its framing; ``raw`` is all that came behind the head until the connection ended."""
    if (length := head.get(b"content-length")) is not None:
        return Body(raw, len(raw) == int(length))
    if b"chunked" not in (head.get(b"transfer-encoding") or b""):
        return Body(raw, ended == "fin")
    data = b""
    while line := _SIZE_LINE.match(raw):
        size = int(line[1], 16)
        if not size:
            assert raw[line.end() :] == b"\r\n", f"behind the last chunk: {raw[line.end() :]!r}"
            return Body(data, is_whole=True)
        data += raw[line.end() : line.end() + size]
        raw = raw[line.end() + size + 2 :]
    assert not raw, f"the connection ended inside a chunk's frame: {raw!r}"
    return Body(data, is_whole=False)


def leave(client: Client, how: str) -> None:
    """Leave by FIN or by RST."""
    if how == "rst":
        client.reset()
    else:
        client.half_close()


def resident_kib(pid: int) -> int:
    """Give a process's memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
