"""What is written about open streams against the code: fields, events, flags, limits."""

from __future__ import annotations

import json

import typer
from tests.docs.page import names, read_page, rows, section

from headgate.admin.access import AccessRules
from headgate.admin.stream_tail import KEEPALIVE_S, _encode_item
from headgate.admin.streams import stream_router
from headgate.cli.main import app
from headgate.runtime.stream_desk import StreamDesk
from headgate.runtime.stream_messages import MAX_TAILS
from headgate.runtime.worker_desk import ANSWER_S
from headgate.server.stream_table import StreamRow
from headgate.stream.block_reader import TEXT_BYTES
from headgate.stream.tail import DATA_BYTES, MAX_BYTES, MAX_ITEMS, TailComment, TailEvent, TailGap, TailItem
from headgate.wire.sse import EventParser


def page() -> str:
    return section(read_page("reference/admin-api.md"), "Open streams")


def test_every_field_of_a_stream_is_there_in_order() -> None:
    written = [name for cell in names(page(), "field") for name in cell.split(", ")]
    assert written == [*StreamRow.__struct_fields__, "worker", "pid", "generation"]


def test_every_request_is_there() -> None:
    router = stream_router(StreamDesk(), AccessRules())
    code = {
        f"{method} {route.path.replace('{id}', '<id>')}"  # type: ignore[attr-defined]  # all of them are API routes
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    assert set(names(page(), "request")) == code


def test_every_parameter_is_there() -> None:
    router = stream_router(StreamDesk(), AccessRules())
    code = {
        parameter["name"]
        for route in router.routes
        for parameter in route.openapi_extra["parameters"]  # type: ignore[attr-defined]
        if parameter["in"] == "query"
    }
    written = {name.partition("=")[0] for cell in names(page(), "parameter") for name in cell.split(", ")}
    assert written == code


def test_every_field_of_a_tails_events_is_there() -> None:
    written = {row[0]: set(row[1].split(", ")) for row in rows(page(), "type")}
    items: dict[str, TailItem] = {
        "event": TailEvent(1, 0.0, None, None, b"", 0, b"", True),
        "comment": TailComment(0.0, 0),
        "gap": TailGap(1),
    }
    for name, item in items.items():
        (event,) = EventParser().feed(_encode_item(item))
        assert (event.type, set(json.loads(event.data))) == (name, written.pop(name))
    assert set(written) == {"end"}


def test_limits_are_those_of_the_code() -> None:
    text = " ".join(page().split())
    assert f"{DATA_BYTES // 1024} KiB of it are shown" in text
    assert f"of an id and a type, {TEXT_BYTES // 1024} KiB" in text
    assert f"up to {MAX_ITEMS} items or {MAX_BYTES // 1024**2} MiB" in text
    assert f"{MAX_TAILS} tails are open" in text
    assert f"After {KEEPALIVE_S:.0f} s of silence" in text
    assert f"within about {ANSWER_S:.0f} s" in text


def test_every_flag_of_the_command_is_there() -> None:
    group = typer.main.get_command(app).commands["streams"]  # type: ignore[attr-defined]  # a group
    commands = {"list": group, **group.commands}
    table = rows(section(read_page("reference/command-line.md"), "headgate streams"), "flag")
    for name, command in commands.items():
        flags = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
        written = {flag for flag, _, where, _ in table if where == "all" or name in where.split(", ")}
        assert written == flags, name
