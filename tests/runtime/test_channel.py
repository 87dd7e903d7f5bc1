from __future__ import annotations

import os
import socket

import pytest

from headgate.runtime.channel import MAX_TEXT_CHARACTERS, Channel, Message


def pair() -> tuple[Channel, Channel]:
    ours, theirs = Channel.pair()
    return ours, Channel(theirs.detach())


def test_messages_stay_apart_and_carry_descriptors() -> None:
    ours, theirs = pair()
    reader, writer = os.pipe()
    ours.send({"type": "link", "worker": 1}, [writer])
    ours.send({"type": "stop"})
    os.close(writer)
    received = theirs.receive()
    assert received is not None
    message, (descriptor,) = received
    assert message == {"type": "link", "worker": 1}
    assert not os.get_inheritable(descriptor)
    os.write(descriptor, b"through")
    assert os.read(reader, 10) == b"through"
    assert theirs.receive() == ({"type": "stop"}, [])
    for number in (descriptor, reader):
        os.close(number)
    ours.close()
    theirs.close()


def test_nothing_yet_is_not_the_end() -> None:
    ours, theirs = pair()
    with pytest.raises(BlockingIOError):
        theirs.receive()
    ours.close()
    assert theirs.receive() is None
    theirs.close()


@pytest.mark.parametrize("text", ["x" * 100_000, "\x00" * 100_000, "ü" * 100_000])
def test_a_long_text_is_cut(text: str) -> None:
    ours, theirs = pair()
    ours.send({"type": "failed", "error": text})
    received: tuple[Message, list[int]] | None = theirs.receive()
    assert received == ({"type": "failed", "error": text[:MAX_TEXT_CHARACTERS]}, [])
    ours.close()
    theirs.close()


def test_a_side_that_does_not_read_blocks_nobody() -> None:
    ours, theirs = pair()

    def send_without_end() -> None:
        while True:
            ours.send({"type": "reopen_access_log"})

    with pytest.raises(BlockingIOError):
        send_without_end()
    ours.close()
    theirs.close()


def test_a_side_that_is_gone_raises_without_a_signal() -> None:
    ours, theirs = Channel.pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.send({"type": "stop"})
    ours.close()


def test_a_link_that_was_sent_and_never_taken_ends_with_its_channel() -> None:
    ours, theirs = pair()
    one, other = socket.socketpair()
    ours.send({"type": "link"}, [other.fileno()])
    other.close()
    theirs.close()
    assert one.recv(1) == b""
    one.close()
    ours.close()


def test_last_words_are_heard_though_what_was_said_to_the_dead_was_not() -> None:
    ours, theirs = pair()
    ours.send({"type": "link"})
    theirs.send({"type": "failed", "error": "the store"})
    theirs.close()
    assert ours.receive() == ({"type": "failed", "error": "the store"}, [])
    assert ours.receive() is None
    ours.close()
