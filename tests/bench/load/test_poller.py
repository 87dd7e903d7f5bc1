from __future__ import annotations

import select
import socket

import pytest
from bench.load.poller import Poller, accept, connect, listen

from bench.load import poller as module


def test_a_descriptor_is_called_as_long_as_it_can_be_read() -> None:
    poller, calls = Poller(), []
    one, other = socket.socketpair()
    with one, other:
        poller.watch(one.fileno(), lambda: calls.append(one.recv(1)))
        assert not poller.turn(0)
        other.sendall(b"ab")
        assert poller.turn(1)
        assert poller.turn(1)
        assert not poller.turn(0)
        poller.change(one.fileno(), lambda: calls.append(b"writable"), select.EPOLLOUT)
        assert poller.turn(1)
        poller.close(one)
        assert not poller.turn(0)
    assert calls == [b"a", b"b", b"writable"]


def test_it_turns_until_it_is_done_or_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    poller, told = Poller(), []
    one, other = socket.socketpair()
    with one, other:
        poller.watch(one.fileno(), lambda: told.append(one.recv(1)))
        other.sendall(b"abc")
        assert poller.turn_until(lambda: len(told) == 3)
        assert not poller.turn_until(lambda: len(told) == 4)
        other.sendall(b"d" * 1000)
        assert not poller.turn_until(lambda: len(told) == 5000, before_s=0)


def test_a_connection_is_made_without_waiting() -> None:
    with listen() as listener:
        assert accept(listener) is None
        with connect(listener.getsockname()[1]) as client:
            select.select([listener], [], [], 10)
            server = accept(listener)
            assert server is not None
            with server:
                client.send(b"x")
                select.select([server], [], [], 10)
                assert server.recv(10) == b"x"
