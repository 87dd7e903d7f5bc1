"""An exchange without connections: what a plugin sees and changes, and a route's plugins run on it phase by phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.expressions.request_source import make_request

from headgate.expressions.variables import compile_variable
from headgate.plugins.api import Answer, Chain
from headgate.plugins.catalog import Catalog
from headgate.stream.policy import StreamPolicy
from headgate.wire.headers import Headers
from headgate.wire.request import Request, ResponseHead, UpstreamRequest
from headgate.wire.sse import EventCutter


@dataclass
class PlainExchange:
    request: Request
    upstream_request: UpstreamRequest
    id: str = "e1"
    route_id: str | None = "r1"
    form: Mapping[bytes, bytes] | None = None
    state: dict[str, Any] = field(default_factory=dict)
    read_timeout_s: float | None = None
    stream_policy: StreamPolicy = field(default_factory=StreamPolicy)
    records: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def variable(self, name: str) -> bytes | None:
        return compile_variable(name)(self)

    def extra(self, name: str) -> bytes | None:
        return b"r1" if name == "route_id" else None

    def log(self, event: str, **fields: object) -> None:
        self.records.append((event, fields))


def exchange(target: bytes = b"/", **request: Any) -> PlainExchange:
    """Make an exchange of a request (see make_request); upstream goes what came, less the Host field."""
    received = make_request(target, **request)
    return PlainExchange(received, UpstreamRequest(received.method, target, received.headers.copy()))


def chain(**plugins: dict[str, Any]) -> Chain:
    """Compile plugins by name, ``_`` for ``-``."""
    return Catalog().compile({name.replace("_", "-"): conf for name, conf in plugins.items()})


def run_request(plugins: Chain, given: PlainExchange) -> Answer | None:
    """Run the phases up to the upstream; give the first answer. Every plugin tested so answers at once."""
    for method in (*plugins.on_request, *plugins.on_route):
        answer = method(given)
        assert answer is None or isinstance(answer, Answer)
        if answer is not None:
            return answer
    return None


def run_response(
    plugins: Chain, given: PlainExchange, headers: Iterable[tuple[bytes, bytes]] = (), status: int = 200
) -> dict[bytes, bytes]:
    """Run the response phase; give the headers, those of one name joined."""
    head = ResponseHead(status, b"", Headers.of(headers))
    for method in plugins.on_response:
        method(given, head)
    return {name: b", ".join(head.headers.get_all(name)) for name, _, _ in head.headers}


def run_events(plugins: Chain, given: PlainExchange, stream: bytes, *, max_event_bytes: int = 1 << 20) -> bytes:
    """Cut a stream into events and run each through the event phase; give what goes on."""
    passed = []
    for event in EventCutter(max_event_bytes=max_event_bytes).feed(stream):
        piece = event.raw
        for method in plugins.on_event:
            piece = method(given, event)
        passed.append(piece)
    return b"".join(passed)
