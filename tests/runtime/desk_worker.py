"""A worker as its desk sees it, played by the test: what it was told, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tests.runtime.running import turn_until

from headgate.runtime.stream_desk import StreamDesk
from headgate.runtime.stream_messages import ListStreams, StreamCommand, StreamReport, StreamRows
from headgate.runtime.worker_desk import WorkerDesk
from headgate.server.stream_table import StreamRow

Command = TypeVar("Command", bound=StreamCommand)


class DeskWorker:
    """Joins ``desk`` as worker ``worker`` with process ``pid``; answers lists by itself if it has rows for that."""

    def __init__(self, desk: StreamDesk, worker: int = 0, pid: int = 1000, started: float = 0.0) -> None:
        self.told: list[StreamCommand] = []
        self.answers_lists_with: Sequence[StreamRow] | None = None
        self.desk: WorkerDesk = desk.join(worker, pid, started, send=self._take)

    def _take(self, command: StreamCommand) -> None:
        if isinstance(command, ListStreams) and self.answers_lists_with is not None:
            self.list(command.number, *self.answers_lists_with)
        else:
            self.told.append(command)

    async def hear(self, kind: type[Command]) -> Command:
        """Wait for the next command, which has to be of a kind, and give it."""
        await turn_until(lambda: bool(self.told))
        command = self.told.pop(0)
        assert isinstance(command, kind), command
        return command

    def say(self, *reports: StreamReport) -> None:
        """Say something."""
        for report in reports:
            self.desk.take(report)

    def list(self, number: int, *rows: StreamRow, total: int | None = None) -> None:
        """Answer a list."""
        self.say(StreamRows(number, [*rows]), StreamRows(number, [], len(rows) if total is None else total))


def row(stream_id: str, opened_at: float = 0.0) -> StreamRow:
    """Make a row; what does not matter is the same in all."""
    return StreamRow(
        id=stream_id,
        route="r",
        service=None,
        client="127.0.0.1",
        consumer=None,
        method="GET",
        host="example",
        target="/",
        upstream="10.0.0.1:80",
        status=200,
        opened_at=opened_at,
        age_s=1.0,
        events=1,
        bytes=9,
        first_event_s=0.5,
        since_event_s=0.5,
        keepalives=0,
        blocked_s=0.0,
        blocked=False,
        untouched=None,
        state="open",
    )
