"""The sockets that headgate listens on, opened once by the supervisor and kept for its life.

Invariants: an address that anybody else listens on, another headgate included, is an error and never shared in silence; each
worker slot has its own SO_REUSEPORT socket per address, so each has its own accept queue. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Iterable

from headgate.config.address import parse_address

BACKLOG = 4096
"""Connections that wait for a worker, per slot and address; the kernel caps it at net.core.somaxconn."""

_SO_ATTACH_FILTER = 26
"""Linux's, from asm-generic/socket.h."""
_DROP_NEW = (
    (0x30, 0, 0, 13),  # the byte of TCP's flags
    (0x54, 0, 0, 0x12),  # SYN and ACK of it
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),
)
"""A classic BPF program (code, jump if true, jump if false, operand): what asks for a new connection is dropped, all else passes."""

_Target = tuple[int, tuple[object, ...]]


class ListenError(Exception):
    """An address cannot be listened on; the text is one line for a person. ``in_use`` tells the commonest reason."""

    def __init__(self, text: str, *, in_use: bool = False) -> None:
        super().__init__(text)
        self.in_use = in_use


def open_shared(address: str, slots: int, *, setting: str) -> list[list[socket.socket]]:
    """Listen on ``address`` (``HOST:PORT``, port 0 = any) once for each of ``slots``; give each slot's sockets.

    A name that stands for several addresses gives a slot several. Raises ListenError, naming ``setting`` as what to change.
    """
    per_slot: list[list[socket.socket]] = [[] for _ in range(slots)]
    for target in _resolve(address, setting):
        # Bound without SO_REUSEPORT first: so a port that someone shares is found, and "any port" becomes a certain one.
        with _bind(target, address, setting) as probe:
            bound = target[0], probe.getsockname()
        for sockets in per_slot:
            sockets.append(_listen(_bind(bound, address, setting, shared=True), address, setting))
    return per_slot


def open_single(address: str, *, setting: str) -> list[socket.socket]:
    """Listen on ``address`` (``HOST:PORT``, port 0 = any), one socket for each address that a name stands for. Raises ListenError."""
    return [_listen(_bind(target, address, setting), address, setting) for target in _resolve(address, setting)]


def name_of(bound: socket.socket) -> str:
    """Give the address that a socket is bound to as ``HOST:PORT``."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if bound.family == socket.AF_INET6 else f"{host}:{port}"


def turn_away(listening: Iterable[socket.socket]) -> None:
    """Let no new connection begin on sockets that are about to be closed; those that are being made still can be accepted.

    A connection that waits in a socket when that closes is reset. One that asks in vain is made by the kernel's next try, a
    second later, if somebody listens then, and else refused. Where the system has no such filter nothing happens.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_NEW))
    for one in listening:
        try:
            one.setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_NEW), ctypes.addressof(program))
            )
        except OSError:
            continue  # then what arrives in the last instant is reset: nothing to be done about


def is_anyone_waiting(listening: Iterable[socket.socket]) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    for one in listening:
        poll.register(one, select.POLLIN)
    return bool(poll.poll(0))


def _resolve(address: str, setting: str) -> list[_Target]:
    host, port = parse_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(_text(address, f"the name {host} cannot be resolved ({error.strerror})", setting)) from error
    return list(dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found))


def _bind(target: _Target, address: str, setting: str, *, shared: bool = False) -> socket.socket:
    family, sockaddr = target
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a run before may still be in TIME_WAIT
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as NGINX: "[::]" takes IPv6 only
    return _try(bound, lambda: bound.bind(sockaddr), address, setting)


def _listen(bound: socket.socket, address: str, setting: str) -> socket.socket:
    return _try(bound, lambda: bound.listen(BACKLOG), address, setting)


def _try(bound: socket.socket, step: Callable[[], None], address: str, setting: str) -> socket.socket:
    try:
        step()
    except OSError as error:
        bound.close()
        raise ListenError(_text(address, _reason(error), setting), in_use=error.errno == errno.EADDRINUSE) from error
    return bound


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use by another program"
        case errno.EACCES:
            return "not permitted (ports below 1024 need CAP_NET_BIND_SERVICE)"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have the address"
        case number:
            return os.strerror(number or 0)


def _text(address: str, reason: str, setting: str) -> str:
    variable = f"HEADGATE_{setting.upper()}"
    return f"cannot listen on {address}: {reason}; choose another with --{setting}, {variable} or {setting}: in headgate.yaml"
