from __future__ import annotations

import socket

import pytest

from headgate.runtime.listening import ListenError, is_anyone_waiting, name_of, open_shared, open_single, turn_away


def test_each_slot_has_a_listening_socket_on_one_port() -> None:
    slots = open_shared("127.0.0.1:0", 3, setting="listen")
    names = {name_of(opened) for slot in slots for opened in slot}
    assert len(slots) == 3
    assert len(names) == 1
    for _ in range(3):
        socket.create_connection(slots[0][0].getsockname()).close()
    for (opened,) in slots:
        opened.close()


def test_ipv6_has_brackets_and_takes_no_ipv4() -> None:
    (six,) = open_single("[::1]:0", setting="admin")
    assert name_of(six).startswith("[::1]:")
    assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    six.close()


@pytest.mark.parametrize("taken_by", ["plain", "shared"])
def test_a_port_that_is_listened_on_is_in_use(taken_by: str) -> None:
    if taken_by == "plain":
        taken = socket.create_server(("127.0.0.1", 0))
    else:
        taken = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    text = f"cannot listen on {address}: the port is in use"
    with pytest.raises(ListenError, match=text) as caught:
        open_shared(address, 2, setting="listen")
    assert caught.value.in_use
    with pytest.raises(ListenError, match=text):
        open_single(address, setting="admin")
    taken.close()


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("192.0.2.1:0", "this machine does not have the address; choose another with --admin, HEADGATE_ADMIN"),
        ("no-such-host.invalid:0", "the name no-such-host.invalid cannot be resolved"),
    ],
)
def test_other_reasons(address: str, text: str) -> None:
    with pytest.raises(ListenError, match=text) as caught:
        open_single(address, setting="admin")
    assert not caught.value.in_use


def test_a_port_of_connections_that_just_closed_is_free() -> None:
    (first,) = open_single("127.0.0.1:0", setting="admin")
    address = name_of(first)
    with socket.create_connection(first.getsockname()) as client:
        accepted, _ = first.accept()
        accepted.close()  # closed on our side first: TIME_WAIT is ours
        assert client.recv(1) == b""
    first.close()
    for (opened,) in open_shared(address, 2, setting="listen"):
        opened.close()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_who_comes_late_is_not_let_in_and_who_waits_still_is(address: str) -> None:
    (listening,) = open_single(address, setting="listen")
    listening.setblocking(False)
    assert not is_anyone_waiting([listening])
    waiting = socket.create_connection(listening.getsockname()[:2])
    waiting.sendall(b"before")
    turn_away([listening])
    assert is_anyone_waiting([listening])
    late = socket.socket(listening.family)
    late.settimeout(0.3)
    with pytest.raises(TimeoutError):
        late.connect(listening.getsockname()[:2])
    accepted, _ = listening.accept()
    assert not is_anyone_waiting([listening])
    waiting.sendall(b", after")
    waiting.shutdown(socket.SHUT_WR)
    with accepted.makefile("rb") as received:
        assert received.read() == b"before, after"
    for one in (listening, waiting, late, accepted):
        one.close()
