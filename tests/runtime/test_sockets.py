from __future__ import annotations

import socket
from typing import Any

import pytest

from headgate.runtime.listening import name_of
from headgate.runtime.sockets import Sockets

ANYWHERE: dict[str, Any] = {
    "workers": 2,
    "listen": ["127.0.0.1:0", "127.0.0.2:0"],
    "admin": "127.0.0.1:0",
    "metrics": "off",
    "metrics_explicit": True,
}


def close(sockets: Sockets) -> None:
    sockets.close_listen()
    for opened in (*sockets.admin, *sockets.metrics):
        opened.close()


def test_each_slot_listens_on_every_address() -> None:
    sockets = Sockets(ANYWHERE)
    assert [name_of(opened) for opened in sockets.listen[0]] == [name_of(opened) for opened in sockets.listen[1]]
    assert [name_of(opened).partition(":")[0] for opened in sockets.listen[0]] == ["127.0.0.1", "127.0.0.2"]
    assert sockets.metrics == []
    close(sockets)


def test_what_is_let_go_of_is_refused() -> None:
    sockets = Sockets(ANYWHERE)
    address = sockets.listen[0][0].getsockname()
    socket.create_connection(address).close()
    sockets.close_listen()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    close(sockets)


def test_a_taken_default_metrics_port_leaves_metrics_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sockets = Sockets({**ANYWHERE, "metrics": address, "metrics_explicit": False})
        assert sockets.metrics == []
        close(sockets)
