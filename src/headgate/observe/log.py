"""The log of control and workers: JSON lines on stderr (``event``, ``level``, ``timestamp``), the supervisor's own form.

Invariant: logging never blocks a loop; lines go through a :class:`LineWriter`, and if stderr's reader stops they are dropped.
What libraries log through :mod:`logging` (uvicorn, asyncio) comes out in the same form, from warnings up.
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from headgate.observe.line_writer import LineWriter, encode_line

_FLUSH_S = 0.5


class _LineLogger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: bytes) -> None:
        self._writer.write(line)

    debug = info = warning = error = critical = exception = msg


class _StructlogHandler(logging.Handler):
    """Passes a record of :mod:`logging` on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def configure(process: str, *, descriptor: int | None = None) -> None:
    """Set structlog and logging up, once per process. ``process`` (``control``, ``worker 0``) stands in each line.

    ``descriptor`` is where the lines go, stderr unless given.
    """
    writer = LineWriter(sys.stderr.fileno() if descriptor is None else descriptor, on_drop=lambda _: None, name="log")
    atexit.register(writer.close, _FLUSH_S)

    def render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
        return encode_line({"event": event.pop("event"), "level": event.pop("level"), "process": process, **event})

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _LineLogger(writer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_StructlogHandler()], level=logging.WARNING, force=True)
