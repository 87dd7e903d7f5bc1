"""A worker's side of the link: what control says the table is, and how the gateway gets there.

Invariants: writes are made live in the order in which they come and acked after that. On a later link (control was replaced) the
whole table comes again; what differs from the one served becomes live in one step, deletions included, and what is equal
is not touched. Of each resource only a digest is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from headgate.config.change import KINDS, Change, Kind
from headgate.runtime.link import Ack, Apply, Hello, LinkClosedError, Load, LoadEnd, TableMessage, WorkerLink, Write
from headgate.runtime.stream_messages import StreamCommand

_log = structlog.get_logger()
_Key = tuple[Kind, str]


class Table(Protocol):
    """What of a gateway is kept up to date."""

    async def load(self, changes: Sequence[Change]) -> None:
        """Take a slice of the first table, before anything is served."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Make changes live together."""


class Session(Protocol):
    """What carries out the commands about streams that come over one link."""

    def take(self, command: StreamCommand) -> None:
        """Take a command, without waiting."""

    async def run(self) -> None:
        """Carry out what was taken."""

    async def flush(self) -> None:
        """Return when whoever looks at a stream that has ended knows."""

    def close(self) -> None:
        """Let go of everything."""


class Commands(Protocol):
    """Makes a session of each link."""

    def open(self, link: WorkerLink) -> Session:
        """Begin one."""


class Replica:
    """Keeps ``table`` equal to control's. ``on_loaded`` is awaited once, when the first table is complete.

    What control asks about streams goes to ``commands``; it never waits for the table nor the table for it.
    """

    def __init__(self, table: Table, commands: Commands, *, on_loaded: Callable[[], Awaitable[None]]) -> None:
        self._table = table
        self._commands = commands
        self._session: Session | None = None
        self._on_loaded = on_loaded
        self._loaded = False
        self._digests: dict[_Key, bytes] = {}
        self._seen: set[_Key] = set()
        self._changed: list[Write] = []

    async def follow(self, link: WorkerLink, hello: Hello) -> None:
        """Follow control over ``link`` until that ends; the table then stays as it is."""
        self._seen, self._changed = set(), []
        session = self._session = self._commands.open(link)
        running = asyncio.create_task(session.run(), name="stream-commands")
        try:
            await link.send(hello)
            while (message := await link.receive()) is not None:
                if isinstance(message, TableMessage):
                    await link.send(await self._take(message))
                else:
                    session.take(message)
                await asyncio.sleep(0)  # one message per turn of the loop: streams flow in between
        except LinkClosedError:
            return
        finally:
            running.cancel()
            session.close()
            link.close()
            if link.error:
                _log.error("control sent nonsense", error=link.error)

    async def flush(self, timeout_s: float) -> None:
        """Return when control knows of every ended stream that somebody looks at, or after ``timeout_s``."""
        if self._session is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._session.flush()
        except TimeoutError:
            return

    async def _take(self, message: TableMessage) -> Ack:
        match message:
            case Load(writes):
                await self._take_slice(writes)
                return Ack(0)
            case LoadEnd(revision):
                error = await self._take_end()
                return Ack(revision, error)
            case Apply(revision, writes):
                return Ack(revision, self._apply(writes))

    async def _take_slice(self, writes: Sequence[Write]) -> None:
        self._seen.update((write.kind, write.id) for write in writes)
        if not self._loaded:
            await self._table.load([write.to_change() for write in writes])
            self._remember(writes)
        else:
            self._changed += [write for write in writes if self._digests.get((write.kind, write.id)) != _digest(write)]

    async def _take_end(self) -> str | None:
        # Backwards: what is deleted may only be referred to by what is deleted before it.
        gone = sorted(self._digests.keys() - self._seen, key=lambda key: KINDS.index(key[0]), reverse=True)
        writes = [*self._changed, *(Write(kind, name, None, 0, 0) for kind, name in gone)]
        self._seen, self._changed = set(), []
        error = self._apply(writes) if writes else None
        if not self._loaded:
            self._loaded = True
            await self._on_loaded()
        return error

    def _apply(self, writes: Sequence[Write]) -> str | None:
        """Make ``writes`` live; give the reason if that fails. The worker then serves what it served."""
        try:
            self._table.apply([write.to_change() for write in writes])
        except Exception as error:  # noqa: BLE001 - whatever it is, control is told, and what was served is served on
            _log.exception("changes could not be applied", writes=len(writes))
            return f"{type(error).__name__}: {error}"
        self._remember(writes)
        return None

    def _remember(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if write.value is None:
                self._digests.pop((write.kind, write.id), None)
            else:
                self._digests[write.kind, write.id] = _digest(write)


def _digest(write: Write) -> bytes:
    indexes = f"{write.created_index},{write.modified_index},".encode()
    return hashlib.blake2b(indexes + (write.value or b""), digest_size=16).digest()
