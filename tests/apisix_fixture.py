"""The upstream that Apache APISIX's own test-suite runs behind the gateway, path by path (its ``t/lib/server.lua``).

Only what black-box cases of APISIX look at is here; every path has the answer that they expect.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from urllib.parse import parse_qsl

from tests.origin_wire import Fields, Handler, Received, Wire

_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port")
_OF_THE_FRAMING = (b"connection", b"content-length", b"transfer-encoding")
_PLAIN: Fields = (b"Content-Type", b"text/plain")


def _wanted(request: Received) -> list[Fields]:
    """Give the fields that a request asks for by ``resp-<Name>: value``."""
    return [(name[5:], value) for name, value in request.fields if name.lower().startswith(b"resp-")]


async def _hello(request: Received, wire: Wire) -> None:
    await request.body()
    await wire.respond(200, b"hello world\n", _PLAIN, *_wanted(request))


async def _hello1(request: Received, wire: Wire) -> None:
    await wire.respond(200, b"hello1 world\n", _PLAIN, *_wanted(request))


async def _hello_chunked(request: Received, wire: Wire) -> None:
    await _respond_in_chunks(request, wire, b"hell", b"o w", b"orld\n")


async def _with_header(request: Received, wire: Wire) -> None:
    await _respond_in_chunks(request, wire, b"hello\n", b"world\n", b"!\n")


async def _respond_in_chunks(request: Received, wire: Wire, *pieces: bytes) -> None:
    await wire.head(200, _PLAIN, (b"Transfer-Encoding", b"chunked"), *_wanted(request))
    if request.method == b"HEAD":
        return
    for piece in pieces:
        await wire.chunk(piece)
    await wire.last_chunk()


async def _server_port(request: Received, wire: Wire) -> None:
    port = wire.transport.get_extra_info("sockname")[1]
    await wire.respond(200, b"%d" % port, _PLAIN, *_wanted(request))


async def _old_uri(request: Received, wire: Wire) -> None:
    await _tell_request(request, wire, leave_out=())


async def _uri(request: Received, wire: Wire) -> None:
    await _tell_request(request, wire, leave_out=_FORWARDED)


async def _tell_request(request: Received, wire: Wire, *, leave_out: tuple[bytes, ...]) -> None:
    fields = sorted((name.lower(), value) for name, value in request.fields)
    lines = [b"%s: %s\n" % one for one in fields if one[0] not in leave_out]
    await wire.respond(200, b"uri: %s\n" % request.path + b"".join(lines), _PLAIN, *_wanted(request))


async def _echo(request: Received, wire: Wire) -> None:
    copied = [one for one in request.fields if one[0].lower() not in _OF_THE_FRAMING]
    await wire.respond(200, await request.body(), *copied)


async def _headers(request: Received, wire: Wire) -> None:
    fields = [
        (key.encode(), value.encode()) for key, value in parse_qsl(request.query.decode(), keep_blank_values=True)
    ]
    await wire.respond(200, b"/headers\n", _PLAIN, *fields)


async def _mysleep(request: Received, wire: Wire) -> None:
    seconds = dict(parse_qsl(request.query.decode()))["seconds"]
    await asyncio.sleep(float(seconds))
    await wire.respond(200, f"{seconds}\n".encode(), _PLAIN)


async def _limit_conn(request: Received, wire: Wire) -> None:
    await asyncio.sleep(0.3)
    await wire.respond(200, b"hello world\n", _PLAIN, *_wanted(request))


async def _specific_status(request: Received, wire: Wire) -> None:
    status = request.get(b"x-test-upstream-status")
    if status is None:
        await wire.respond(200, b"", _PLAIN)
    else:
        await wire.respond(int(status), b"upstream status: %s\n" % status, _PLAIN)


async def _server_error(request: Received, wire: Wire) -> None:
    await wire.respond(500, b"500 Internal Server Error\n", _PLAIN, *_wanted(request))


async def _proxy_rewrite(request: Received, wire: Wire) -> None:
    host = (request.get(b"host") or b"").partition(b":")[0].lower()
    await wire.respond(200, b"uri: %s\nhost: %s\nscheme: http\n" % (request.path, host), _PLAIN)


async def _proxy_rewrite_args(request: Received, wire: Wire) -> None:
    values: dict[str, list[str]] = {}
    for key, value in parse_qsl(request.query.decode(), keep_blank_values=True):
        values.setdefault(key, []).append(value)
    lines = "".join(f"{key}: {','.join(values[key])}\n" for key in sorted(values))
    await wire.respond(200, b"uri: %s\n" % request.path + lines.encode(), _PLAIN)


async def _opentracing(request: Received, wire: Wire) -> None:
    await wire.respond(200, b"opentracing\n", _PLAIN, *_wanted(request))


async def _websocket_handshake(request: Received, wire: Wire) -> None:
    """Switch protocols, send the text frame ``hello`` (RFC 6455 §5.7), then give back every byte as it came."""
    key = request.get(b"sec-websocket-key")
    if key is None or (request.get(b"upgrade") or b"").lower() != b"websocket":
        await wire.respond(400, b"no handshake\n", _PLAIN)
        return
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    switch = [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", accept)]
    await wire.head(101, *switch)
    await wire.send(b"\x81\x05hello")
    while data := await wire.read():
        await wire.send(data)
    wire.fin()


PATHS: dict[str, Handler] = {
    "/hello": _hello,
    "/hello1": _hello1,
    "/hello_chunked": _hello_chunked,
    "/with_header": _with_header,
    "/server_port*": _server_port,
    "/uri*": _uri,
    "/old_uri": _old_uri,
    "/echo": _echo,
    "/headers": _headers,
    "/mysleep": _mysleep,
    "/limit_conn": _limit_conn,
    "/specific_status": _specific_status,
    "/server_error": _server_error,
    "/plugin_proxy_rewrite": _proxy_rewrite,
    "/plugin_proxy_rewrite_args": _proxy_rewrite_args,
    "/opentracing": _opentracing,
    "/websocket_handshake*": _websocket_handshake,
}
