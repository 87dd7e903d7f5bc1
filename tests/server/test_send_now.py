from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from headgate.server.send_now import send_in_python, send_now

FORMS = pytest.mark.parametrize("send", [send_in_python, send_now], ids=["python", "in use"])
Send = Callable[[int, bytes], int]


@FORMS
def test_all_is_taken_and_arrives(send: Send) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert send(ours.fileno(), b"data: a\n\n") == 9
        assert theirs.recv(100) == b"data: a\n\n"


@FORMS
def test_of_what_does_not_fit_it_says_how_much_was_taken(send: Send) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        data = b"x" * 10_000_000
        taken = send(ours.fileno(), data)
        assert 0 < taken < len(data)
        assert send(ours.fileno(), data) == 0
        arrived = 0
        while arrived < taken:
            arrived += len(theirs.recv(1_000_000))
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


@FORMS
def test_a_broken_or_closed_socket_takes_nothing_and_raises_nothing(send: Send) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.close()
        assert send(ours.fileno(), b"a") == 0
    closed = os.open(os.devnull, os.O_RDONLY)
    os.close(closed)
    assert send(closed, b"a") == 0
    assert send(-1, b"a") == 0


@FORMS
def test_what_is_not_bytes_is_refused(send: Callable[[object, object], object]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TypeError):
        send(ours.fileno(), "text")
