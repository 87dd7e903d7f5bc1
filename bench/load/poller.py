"""Both ends of a load in one process: plain sockets, one epoll, one function for each descriptor.

A load that is to tire a gateway has one core for clients and origin together. Two processes would take turns on it for
each request, and a loop with transports costs more per request than some gateways do.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable

from bench.load.orders import Message, answer

PATIENCE_S = 20.0
"""A load in which nothing has moved for so long has failed."""
LONGEST_S = 50.0
"""What an order may take in all: below what the bench waits for an answer."""


class Poller:
    """Calls a descriptor's function whenever it can be read (or whatever else was asked for), as often as that is so.

    A function may be called once in vain: what it was to read went, or its descriptor's number is another socket's now.
    """

    __slots__ = ("_calls", "_epoll")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], object]] = {}

    def watch(self, descriptor: int, call: Callable[[], object], mask: int = select.EPOLLIN) -> None:
        """Have ``call`` called for a descriptor that is not watched yet."""
        self._calls[descriptor] = call
        self._epoll.register(descriptor, mask)

    def change(self, descriptor: int, call: Callable[[], object], mask: int = select.EPOLLIN) -> None:
        """Have something else called for a descriptor that is watched already."""
        self._calls[descriptor] = call
        self._epoll.modify(descriptor, mask)

    def close(self, sock: socket.socket) -> None:
        """Close a socket, watched or not."""
        self._calls.pop(sock.fileno(), None)
        sock.close()  # which takes it out of the epoll

    def turn(self, timeout_s: float = -1) -> bool:
        """Call what is due, or wait for it; say whether there was anything."""
        ready = self._epoll.poll(timeout_s, 1024)
        for descriptor, _ in ready:
            call = self._calls.get(descriptor)
            if call is not None:
                call()
        return bool(ready)

    def turn_until(self, done: Callable[[], bool], *, before_s: float = LONGEST_S) -> bool:
        """Take turns until ``done``; False when nothing moved for ``PATIENCE_S``, or after ``before_s`` in all."""
        deadline = time.monotonic() + before_s
        while not done():
            left_s = deadline - time.monotonic()
            if left_s < 0 or not self.turn(min(PATIENCE_S, left_s)):
                return done()
        return True


def listen() -> socket.socket:
    """Give a socket that listens on a free port of 127.0.0.1, accepts without waiting and queues as much as the system lets it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=65535)
    listener.setblocking(False)
    return listener


def accept(listener: socket.socket) -> socket.socket | None:
    """Accept without waiting; None when there is none."""
    try:
        sock, _ = listener.accept()
    except BlockingIOError:
        return None
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def connect(port: int) -> socket.socket:
    """Connect to 127.0.0.1 without waiting; what is sent before the connection is there raises BlockingIOError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect_ex(("127.0.0.1", port))  # a refusal comes with the first read
    return sock


def serve(poller: Poller, obey: Callable[[Message], Message], **ready: object) -> None:
    """Answer ``ready``, then every order with what ``obey`` gives, until stdin ends. No collection of garbage stops the load."""

    def read() -> None:
        data = os.read(0, 65536)
        if not data:
            sys.exit()
        for line in data.splitlines():  # orders are short and wait for their answer: one read holds whole lines
            answer(**obey(json.loads(line)))

    gc.collect()
    gc.freeze()
    gc.disable()
    poller.watch(0, read)
    answer(**ready)
    while True:
        poller.turn()
