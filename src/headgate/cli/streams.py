"""``headgate streams``: see open streams, watch one, end one; through the Admin API."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn
from urllib.parse import quote, urlencode

import typer

if TYPE_CHECKING:
    from headgate.cli.admin_client import AdminClient

PATH = "/headgate/streams"

app = typer.Typer(
    name="streams", help="See the open event streams, watch one, end one.", pretty_exceptions_enable=False
)

AdminOption = Annotated[
    str | None,
    typer.Option(help="HOST:PORT or URL of the Admin API; default what the settings here say, else 127.0.0.1:9180."),
]
KeyOption = Annotated[
    str | None, typer.Option(help="Key to the Admin API; default HEADGATE_ADMIN_KEY, which other users cannot see.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the stream, as `headgate streams` shows it.")]


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    route: Annotated[str | None, typer.Option(help="Only streams of this route, by its id.")] = None,
    client: Annotated[str | None, typer.Option(help="Only streams to this address.")] = None,
    admin: AdminOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open event streams, the oldest first."""
    from headgate.cli.streams_screen import table  # noqa: PLC0415 -- `headgate version` stays quick

    if context.invoked_subcommand is not None:
        return
    wanted = {name: value for name, value in (("route", route), ("client", client)) if value is not None}
    with _errors():
        answer = _client(admin, key).call("GET", f"{PATH}?{urlencode(wanted)}")
        if as_json:
            print(json.dumps(answer))
        else:
            print(table(answer["list"]) if answer["list"] else "no open streams")
        for one in answer["missing_workers"]:
            text = f"worker {one['worker']} (pid {one['pid']}) does not answer: its streams are not shown"
            print(f"headgate: {text}", file=sys.stderr)


@app.command()
def tail(
    context: typer.Context,
    stream_id: IdArgument,
    data: Annotated[bool, typer.Option("--data", help="Show the data of events; needs an admin key, if any.")] = False,
    admin: AdminOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what passes on a stream, until it ends or Ctrl-C."""
    from headgate.cli.admin_client import AdminCallError  # noqa: PLC0415
    from headgate.cli.streams_screen import TailScreen  # noqa: PLC0415

    screen = TailScreen(sys.stdout, as_json=as_json)
    target = f"{_path(stream_id)}/events" + ("?data=true" if data else "")
    with _errors():
        ended = False
        for event in _client(admin, key, context).follow(target):
            value = json.loads(event.data)
            if event.type == "end" and value["ending"] is None:
                raise AdminCallError(f"the tail ended, the stream may go on: {value['error_msg']}")
            screen.show(event.type, value)
            ended = event.type == "end"
        if not ended:
            raise AdminCallError("the Admin API broke off the tail; the stream may go on")


@app.command()
def kill(context: typer.Context, stream_id: IdArgument, admin: AdminOption = None, key: KeyOption = None) -> None:
    """End a stream at once; print its ending."""
    with _errors():
        print(_client(admin, key, context).call("DELETE", _path(stream_id))["ending"])


def _path(stream_id: str) -> str:
    return f"{PATH}/{quote(stream_id, safe='')}"


def _client(admin: str | None, key: str | None, context: typer.Context | None = None) -> AdminClient:
    """Make the client; flags may stand before the name of the command too."""
    from headgate.cli.admin_client import KEY_VARIABLE, AdminClient, find_address  # noqa: PLC0415

    before = context.parent.params if context is not None and context.parent is not None else {}
    address = admin or before.get("admin") or find_address(os.environ)
    return AdminClient(address, key or before.get("key") or os.environ.get(KEY_VARIABLE))


@contextmanager
def _errors() -> Iterator[None]:
    """Say what went wrong in one line, with exit status 1; stop quietly when nobody reads or waits any more."""
    from headgate.cli.admin_client import AdminCallError  # noqa: PLC0415

    try:
        yield
    except AdminCallError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere


def _fail(text: str) -> NoReturn:
    print(f"headgate: {text}", file=sys.stderr)
    raise typer.Exit(1)
