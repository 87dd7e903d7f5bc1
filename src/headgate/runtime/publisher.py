"""Control's side of the links: what is published, and which worker has it.

Invariants: the table holds exactly what has been published, so a worker that joins gets it and then every later change, in order, with
no gap; :meth:`Publisher.publish` returns when every joined worker has all of it live, or has left. A worker that gives no sign of life
for :data:`SILENT_S` while something of the table is owed to it is reported, and no longer waited for once its link has closed.
What else a worker says is for the desk that asked it (:mod:`headgate.runtime.stream_desk`), which waits by its own rules.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from headgate.config.change import KINDS, Change, Kind
from headgate.runtime.link import Ack, Apply, ControlLink, Down, Hello, LinkClosedError, Load, LoadEnd, Write
from headgate.runtime.stream_desk import StreamDesk
from headgate.runtime.worker_desk import WorkerDesk

SILENT_S = 5.0
SLICE_WRITES = 500
SLICE_BYTES = 1024 * 1024

_log = structlog.get_logger()


class ApplyError(Exception):
    """A worker could not make writes live that had compiled in control; it serves what it had before them."""


def slices(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """Cut ``writes`` into lists of at most 500 writes and 1 MiB of documents; a larger document stands alone."""
    piece: list[Write] = []
    size = 0
    for write in writes:
        weight = len(write.value or b"")
        if piece and (len(piece) == SLICE_WRITES or size + weight > SLICE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(write)
        size += weight
    if piece:
        yield piece


class _Subscriber:
    """A worker that has said Hello: what is still to be sent to it, and how far it is."""

    def __init__(self, link: ControlLink, hello: Hello) -> None:
        self.link = link
        self.worker, self.pid = hello.worker, hello.pid
        self.errors: dict[int, str] = {}
        self._acked = 0
        self._owed: deque[Down] = deque()
        self._more = asyncio.Event()
        self._sign = asyncio.Event()

    def owe(self, messages: Iterable[Down]) -> None:
        self._owed.extend(messages)
        self._more.set()

    async def send_owed(self) -> None:
        """Send what is owed, for as long as the link lives."""
        try:
            while True:
                while self._owed:
                    await self.link.send(self._owed.popleft())
                self._more.clear()
                await self._more.wait()
        except (LinkClosedError, ValueError) as error:
            _log.warning("link to worker ended", worker=self.worker, error=str(error))
            self.link.close()

    async def receive(self, desk: WorkerDesk) -> None:
        """Take signs of life until the link ends; what is no ack goes to ``desk``."""
        while (message := await self.link.receive()) is not None and not isinstance(message, Hello):
            if isinstance(message, Ack):
                self._take_ack(message)
            else:
                desk.take(message)
        self._sign.set()

    def _take_ack(self, ack: Ack) -> None:
        self._acked = max(self._acked, ack.revision)
        if ack.error is not None:
            self.errors[ack.revision] = ack.error
        self._sign.set()

    async def reaches(self, revision: int, silent_s: float) -> bool:
        """Wait until ``revision`` is live here or the worker has left; False if it gives no sign of life for ``silent_s``."""
        while self._acked < revision and not self.link.closed.is_set():
            self._sign.clear()
            try:
                async with asyncio.timeout(silent_s):
                    await self._sign.wait()
            except TimeoutError:
                return False
        return True


class Publisher:
    """``on_silent(worker, pid)`` is called for a worker that does not answer; it is expected to have it killed.

    ``desk`` is told who has joined, and gets their reports about streams. ``is_complete`` False: what is published until
    :meth:`complete` is called is parts of the table, which nobody serves before it is whole.
    """

    def __init__(
        self,
        on_silent: Callable[[int, int], None],
        desk: StreamDesk,
        *,
        silent_s: float = SILENT_S,
        is_complete: bool = True,
    ) -> None:
        self._on_silent = on_silent
        self._desk = desk
        self._silent_s = silent_s
        self._is_complete = is_complete
        self._revision = 1
        self._table: dict[Kind, dict[str, Write]] = {kind: {} for kind in KINDS}
        self._subscribers: set[_Subscriber] = set()
        self._left = asyncio.Event()

    @property
    def workers(self) -> int:
        """How many workers have joined."""
        return len(self._subscribers)

    async def publish(self, changes: Sequence[Change]) -> None:
        """Bring ``changes`` to every worker, in order; return when they are live in all. Raises ApplyError.

        At most 500 changes become live at once; more do so in several steps. While the table is not complete it is sent on and
        nothing is waited for.
        """
        if not self._is_complete:
            for piece in slices(map(Write.from_change, changes)):
                self._record(piece)
                for subscriber in self._subscribers:
                    subscriber.owe([Load(piece)])
            return
        first = self._revision + 1
        for piece in slices(map(Write.from_change, changes)):
            self._revision += 1
            self._record(piece)
            for subscriber in self._subscribers:
                subscriber.owe([Apply(self._revision, piece)])
        revisions = range(first, self._revision + 1)
        async with asyncio.TaskGroup() as group:
            for subscriber in self._subscribers:
                group.create_task(self._settle(subscriber, self._revision), name=f"publish-{subscriber.worker}")
        errors = [s.errors.pop(revision) for s in self._subscribers for revision in revisions if revision in s.errors]
        if errors:
            raise ApplyError(errors[0])

    def complete(self) -> None:
        """Say that the table is whole: workers may serve it."""
        self._is_complete = True
        for subscriber in self._subscribers:
            subscriber.owe([LoadEnd(self._revision)])

    async def serve(self, link: ControlLink) -> None:
        """Bring a worker up to date and keep it so; return when its link has ended."""
        hello = await link.receive()
        if not isinstance(hello, Hello):
            link.close()
            return
        subscriber = _Subscriber(link, hello)
        # No await between reading the table and joining: what is published from here on is owed on top of it.
        subscriber.owe(Load(piece) for piece in slices(self._all_writes()))
        if self._is_complete:
            subscriber.owe([LoadEnd(self._revision)])
        self._subscribers.add(subscriber)
        sender = asyncio.create_task(subscriber.send_owed(), name=f"link-sender-{hello.worker}")
        desk = self._desk.join(hello.worker, hello.pid, hello.started, send=lambda command: subscriber.owe([command]))
        try:
            await subscriber.receive(desk)
        finally:
            self._desk.leave(desk)
            self._subscribers.discard(subscriber)
            sender.cancel()
            link.close()
            self._left.set()
        if link.error:
            _log.error("worker sent nonsense", worker=hello.worker, error=link.error)

    def close(self) -> None:
        """Let nobody wait any longer for what passes on a stream: the process stops."""
        self._desk.close()

    async def wait_until_left(self, timeout_s: float) -> None:
        """Return when no worker is joined, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._subscribers:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            return

    def _record(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if write.value is None:
                self._table[write.kind].pop(write.id, None)
            else:
                self._table[write.kind][write.id] = write

    def _all_writes(self) -> Iterator[Write]:
        for kind in KINDS:
            yield from self._table[kind].values()

    async def _settle(self, subscriber: _Subscriber, revision: int) -> None:
        if await subscriber.reaches(revision, self._silent_s):
            return
        self._on_silent(subscriber.worker, subscriber.pid)
        if not await subscriber.reaches(revision, self._silent_s):
            subscriber.link.close()  # nobody killed it; what it answers from now on is not believed
