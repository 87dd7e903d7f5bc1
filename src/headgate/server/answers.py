"""Responses that headgate makes itself.

Kept to APISIX: its own refusals are JSON ending with a newline, failures of an upstream are NGINX's pages.
"""

from __future__ import annotations

import json
from email.utils import formatdate

from headgate.plugins.api import Answer
from headgate.wire.headers import Headers
from headgate.wire.request import ResponseHead
from headgate.wire.response_head import reason_of

SERVER = b"headgate"
"""The Server field of every response, in place of the upstream's, as NGINX and APISIX do."""

_JSON = ((b"Content-Type", b"application/json"),)
_HTML = ((b"Content-Type", b"text/html; charset=utf-8"),)

_PHRASES = {503: b"503 Service Temporarily Unavailable", 504: b"504 Gateway Time-out"}

ROUTE_NOT_FOUND = Answer(404, b'{"error_msg":"404 Route Not Found"}\n', _JSON)
"""No route takes the request."""


def page(status: int) -> Answer:
    """Give NGINX's page for a status of 500, 502, 503 or 504."""
    phrase = _PHRASES.get(status) or b"%d %b" % (status, reason_of(status))
    body = (
        b"<html>\r\n<head><title>%b</title></head>\r\n<body>\r\n<center><h1>%b</h1></center>\r\n"
        b"<hr><center>headgate</center>\r\n</body>\r\n</html>\r\n"
    ) % (phrase, phrase)
    return Answer(status, body, _HTML)


def refusal(status: int, detail: str) -> Answer:
    """Give the answer to a request that is malformed: its status and, in JSON, what is wrong with it."""
    return Answer(status, json.dumps({"error_msg": detail}).encode() + b"\n", _JSON)


def head_of(answer: Answer, date: bytes) -> ResponseHead:
    """Give an answer's head; its length is the connection's to say."""
    headers = Headers.of(answer.headers)
    headers.add(b"Date", date)
    headers.add(b"Server", SERVER)
    return ResponseHead(answer.status, reason_of(answer.status), headers, body_follows=bool(answer.body))


class DateField:
    """The Date field's value (RFC 9110 §6.6.1), made once a second."""

    __slots__ = ("_second", "_value")

    def __init__(self) -> None:
        self._second = -1
        self._value = b""

    def at(self, epoch_s: float) -> bytes:
        """Give the value for a time."""
        second = int(epoch_s)
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True).encode()
        return self._value
