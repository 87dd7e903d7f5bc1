from __future__ import annotations

import io
import json
from typing import Any

import pytest

from headgate.cli.streams_screen import TailScreen, clean, duration, table

ROW = {
    "id": "0-1a-2",
    "route": "chat",
    "client": "10.0.0.7",
    "age_s": 83.4,
    "events": 12,
    "bytes": 3456,
    "state": "open",
    "blocked": False,
    "since_event_s": 0.44,
}
EVENT = {
    "n": 7,
    "at": "2026-11-21T01:30:53.250Z",
    "since_previous_s": 0.998,
    "event_id": "41",
    "type": "tick",
    "bytes": 57,
    "data": None,
    "masked": True,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(what: str, value: dict[str, Any], *, as_json: bool = False, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    TailScreen(out, as_json=as_json).show(what, value)
    return out.getvalue()


def test_a_table_stands_in_columns() -> None:
    other = {**ROW, "id": "1-1b-20", "route": None, "events": None, "since_event_s": None, "blocked": True}
    assert table([ROW, other]).splitlines() == [
        "ID       ROUTE  CLIENT    AGE       EVENTS  BYTES  STATE          LAST EVENT",
        "0-1a-2   chat   10.0.0.7  1 m 23 s  12      3456   open           0.4 s ago",
        "1-1b-20  -      10.0.0.7  1 m 23 s  -       3456   open, blocked  -",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (59.9, "59.9 s"),
        (60, "1 m 00 s"),
        (3599.9, "59 m 59 s"),
        (3600, "1 h 00 m"),
        (90000, "25 h 00 m"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("what", "value", "text"),
    [
        ("event", EVENT, "01:30:53.250Z     +0.998 s  #7  tick  id 41  57 bytes\n"),
        (
            "event",
            {**EVENT, "event_id": None, "since_previous_s": None},
            "01:30:53.250Z               #7  tick  57 bytes\n",
        ),
        (
            "event",
            {**EVENT, "data": "a\nb\x1b[2J", "masked": False},
            "01:30:53.250Z     +0.998 s  #7  tick  id 41  57 bytes\n    a\n    b\\x1b[2J\n",
        ),
        (
            "event",
            {**EVENT, "data": "a", "data_cut": True},
            "01:30:53.250Z     +0.998 s  #7  tick  id 41  57 bytes\n    a\n    … (cut)\n",
        ),
        ("comment", {"at": EVENT["at"], "bytes": 3}, "01:30:53.250Z  comment  3 bytes\n"),
        ("gap", {"lost": 5}, "5 events lost: this tail did not keep up\n"),
        ("end", {"ending": "drain"}, "ended: drain\n"),
        ("something new", {}, ""),
    ],
)
def test_what_passes(what: str, value: dict[str, Any], text: str) -> None:
    assert shown(what, value) == text


def test_colours_are_for_terminals_only() -> None:
    assert shown("gap", {"lost": 5}, out=Terminal()).startswith("\x1b[33m")
    assert "\x1b" not in shown("gap", {"lost": 5})
    assert "\x1b" not in shown("gap", {"lost": 5}, as_json=True, out=Terminal())


def test_json_is_one_object_in_each_line() -> None:
    line = shown("event", {**EVENT, "data": "ü\x1b\x9b"}, as_json=True)
    assert json.loads(line) == {"event": "event", **EVENT, "data": "ü\x1b\x9b"}
    assert line.isascii()
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\tb\x7f\x9b", "a\\tb\\x7f\\x9b"),
        ("\u202eabc", "\\u202eabc"),
    ],
)
def test_nothing_reaches_a_terminal_as_a_control_sequence(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_ids_types_and_clients_are_cleaned() -> None:
    assert "\x1b" not in shown("event", {**EVENT, "type": "\x1bc", "event_id": "\x1bc"})
    assert "\x1b" not in table([{**ROW, "route": "\x1bc", "client": "\x1bc", "id": "\x1bc"}])
