"""The origin's end of one stream: reads the request, and sends each event by one ``send``.

Plain non-blocking sockets: a loop's transport would gather what is written in a turn and send it at the turn's end,
and the time from the stamp to the wire would be the load's.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from bench.load.event import event_template

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Source:
    """One connection from the gateway, on which one stream is sent.

    ``asked`` is called once the request has been read, ``stream`` is then its number. ``sent`` counts events; ``last`` are the
    bytes of the last one with its chunk, sent at ``last_ns``. What the connection does not take at once is kept and sent,
    without the order being changed, when it takes more.
    """

    __slots__ = (
        "_asked",
        "_epoll",
        "_head",
        "_rest",
        "_send",
        "_size",
        "_socket",
        "_template",
        "last",
        "last_ns",
        "sent",
        "stream",
    )

    def __init__(
        self, connection: socket.socket, epoll: select.epoll, size_bytes: int, asked: Callable[[Source], None]
    ) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = -1
        self.sent = 0
        self.last = b""
        self.last_ns = 0
        self._socket = connection
        self._send = connection.send
        self._epoll = epoll
        self._size = size_bytes
        self._asked = asked
        self._head = b""
        self._rest = b""
        self._template = b""
        epoll.register(connection, select.EPOLLIN)

    def fileno(self) -> int:
        """Give the connection's descriptor."""
        return self._socket.fileno()

    def ready(self, mask: int) -> None:
        """Go on where the connection is ready."""
        if mask & select.EPOLLOUT:
            self._flush()
        if mask & ~select.EPOLLOUT:
            self._read()

    def send_event(self, now_ns: int) -> None:
        """Send the next event, stamped ``now_ns``, as one chunk; nothing when the connection has gone."""
        if self._template:
            self.last = self._template % (self.sent, now_ns)
            self.last_ns = now_ns
            self.sent += 1
            self._write(self.last)

    def finish(self) -> None:
        """End the stream properly."""
        if self._template:
            self._write(LAST_CHUNK)
            self._template = b""

    def _read(self) -> None:
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._template = b""
            self._epoll.unregister(self._socket)
            self._socket.close()
            return
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            self.stream = int(self._head.split(b" ", 2)[1].rpartition(b"/")[2])
            self._head = b""
            self._template = b"%x\r\n%b\r\n" % (self._size, event_template(self.stream, self._size))
            self._write(HEAD)
            self._asked(self)

    def _write(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
            return
        try:
            taken = self._send(data)
        except BlockingIOError:
            taken = 0
        except OSError:  # the gateway has gone: what is missing is found when sent and received are compared
            return
        if taken < len(data):
            self._rest = data[taken:]
            self._epoll.modify(self._socket, select.EPOLLIN | select.EPOLLOUT)

    def _flush(self) -> None:
        rest, self._rest = self._rest, b""
        self._epoll.modify(self._socket, select.EPOLLIN)
        self._write(rest)
