from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

from headgate.runtime.reactor import Reactor


def test_what_is_due_is_done_in_order_and_not_before() -> None:
    reactor = Reactor()
    done: list[str] = []
    began = time.monotonic()
    reactor.after(0.05, lambda: done.append("second"))
    reactor.after(0.02, lambda: done.append("first"))
    while len(done) < 2:
        reactor.turn()
    assert done == ["first", "second"]
    assert time.monotonic() - began >= 0.05


def test_what_an_action_closes_is_not_called_in_the_same_turn() -> None:
    reactor = Reactor()
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def close_the_other(which: int) -> None:
        called.append(which)
        other = pairs[1 - which][0]
        reactor.unwatch(other)
        other.close()

    for which, (ours, theirs) in enumerate(pairs):
        reactor.watch(ours, lambda which=which: close_the_other(which))  # type: ignore[misc]  # a default binds the loop's value
        theirs.send(b"x")
    reactor.turn()
    assert len(called) == 1
    assert reactor.is_watched(pairs[called[0]][0])
    for pair in pairs:
        for end in pair:
            end.close()


def test_unwatching_twice_is_no_error() -> None:
    reactor = Reactor()
    ours, theirs = socket.socketpair()
    reactor.watch(ours, lambda: None)
    reactor.unwatch(ours)
    reactor.unwatch(ours)
    ours.close()
    theirs.close()


def test_signals_that_came_early_wait_in_order() -> None:
    code = (
        "import os, signal\n"
        "from headgate.runtime.reactor import Reactor\n"
        "reactor, got = Reactor(), bytearray()\n"
        "reactor.catch_signals([signal.SIGUSR1, signal.SIGUSR2])\n"
        "for number in (signal.SIGUSR2, signal.SIGUSR1):\n"
        "    os.kill(os.getpid(), number)\n"
        "reactor.watch_signals(lambda numbers: got.extend(numbers))\n"
        "reactor.turn()\n"
        "print(*got)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(int(number)) for number in (signal.SIGUSR2, signal.SIGUSR1)]
