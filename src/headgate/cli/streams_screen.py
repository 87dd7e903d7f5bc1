"""How open streams, and what passes on them, are shown on a terminal.

Invariant: nothing that a client or an upstream chose reaches the terminal as a control sequence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

_DIM, _CYAN, _YELLOW, _RESET = "\x1b[2m", "\x1b[36m", "\x1b[33m", "\x1b[0m"
_HEADINGS = ("ID", "ROUTE", "CLIENT", "AGE", "EVENTS", "BYTES", "STATE", "LAST EVENT")

Row = Mapping[str, Any]


def table(rows: Iterable[Row]) -> str:
    """Give a table of streams, one in each line below the headings."""
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    events, since_s = row["events"], row["since_event_s"]
    return (
        clean(row["id"]),
        clean(row["route"] or "-"),
        clean(row["client"]),
        duration(row["age_s"]),
        "-" if events is None else str(events),
        str(row["bytes"]),
        f"{row['state']}, blocked" if row["blocked"] else row["state"],
        "-" if since_s is None else f"{duration(since_s)} ago",
    )


class TailScreen:
    """Writes what passes to ``out``, in colour if that is a terminal; ``as_json``: one JSON object in each line."""

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._colours = out.isatty() and not as_json

    def show(self, what: str, value: Row) -> None:
        """Show one event of a tail: ``what`` is its type, ``value`` its data."""
        if self._as_json:
            self._line(json.dumps({"event": what, **value}))
            return
        match what:
            case "event":
                self._line(_describe(value), _CYAN)
                for line in (value["data"] or "").splitlines():
                    self._line(f"    {clean(line)}")
                if value.get("data_cut"):
                    self._line("    … (cut)", _DIM)
            case "comment":
                self._line(f"{_clock(value)}  comment  {value['bytes']} bytes", _DIM)
            case "gap":
                self._line(f"{value['lost']} events lost: this tail did not keep up", _YELLOW)
            case "end":
                self._line(f"ended: {value['ending']}", _YELLOW)

    def _line(self, text: str, colour: str = "") -> None:
        self._out.write(f"{colour}{text}{_RESET}\n" if self._colours and colour else f"{text}\n")
        self._out.flush()


def _describe(event: Row) -> str:
    since_s = event["since_previous_s"]
    waited = "" if since_s is None else f"+{since_s:.3f} s"
    name = "" if event["event_id"] is None else f"  id {clean(event['event_id'])}"
    return f"{_clock(event)}  {waited:>11}  #{event['n']}  {clean(event['type'])}{name}  {event['bytes']} bytes"


def _clock(value: Row) -> str:
    """Give the time of day (UTC) of what has ``at``."""
    return str(value["at"]).partition("T")[2]


def duration(seconds: float) -> str:
    """Write a time for people: ``0.4 s``, ``4 m 05 s``, ``2 h 03 m``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} m {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"


def clean(text: str) -> str:
    """Write what is not printable as an escape: it may be a terminal's control sequence."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
