"""The command ``headgate``: flags to settings, then on to what does the work."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, TypeVar

import typer

from headgate import __version__
from headgate.cli import streams

if TYPE_CHECKING:
    from headgate.cli.node import Node

Done = TypeVar("Done")

app = typer.Typer(
    name="headgate",
    help="An API gateway for event streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(streams.app)


@app.command()
def run(
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./headgate.yaml if there is one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of the store; default ./.headgate.")] = None,
    listen: Annotated[list[str] | None, typer.Option(help="HOST:PORT of the proxy; may be given again.")] = None,
    admin: Annotated[str | None, typer.Option(help="HOST:PORT of the Admin API; default 127.0.0.1:9180.")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="HOST:PORT of the metrics, or off; default 127.0.0.1:9091.")
    ] = None,
    workers: Annotated[str | None, typer.Option(help="Number of workers, or auto; default one per CPU.")] = None,
    routes: Annotated[
        Path | None, typer.Option(help="Routes file (YAML or JSON) to serve instead of the store.")
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    from headgate.config.settings_sources import SettingsError, load  # noqa: PLC0415 -- `headgate version` stays quick
    from headgate.runtime.launch import exec_supervisor  # noqa: PLC0415
    from headgate.runtime.settings_sources import SettingsSources  # noqa: PLC0415

    flags = {
        "data_dir": data_dir,
        "listen": listen,
        "admin": admin,
        "metrics": metrics,
        "workers": workers,
        "routes": routes,
    }
    try:
        settings = load(config, os.environ, flags)
    except SettingsError as error:
        _fail(*map(str, error.problems))
    exec_supervisor(settings.model_dump_json(), SettingsSources.of(config, flags))


_CONFIG = typer.Option(help="Settings file that it was started with; default ./headgate.yaml if there is one.")
_DATA_DIR = typer.Option(help="Its data directory; default what the settings say.")


@app.command()
def reload(config: Annotated[Path | None, _CONFIG] = None, data_dir: Annotated[Path | None, _DATA_DIR] = None) -> None:
    """Have a running gateway read its settings again and start new workers; no connection is refused meanwhile."""
    notes = _with_node(config, data_dir, lambda node: node.reload())
    print("reloaded")
    for note in notes:
        print(f"headgate: {note}", file=sys.stderr)


@app.command()
def drain(config: Annotated[Path | None, _CONFIG] = None, data_dir: Annotated[Path | None, _DATA_DIR] = None) -> None:
    """Have a running gateway end its streams over the drain window and stop; return when it has ended."""
    _with_node(config, data_dir, lambda node: node.drain())
    print("drained")


def _with_node(config: Path | None, data_dir: Path | None, step: Callable[[Node], Done]) -> Done:
    from headgate.cli.node import NodeError, find_data_dir, open_node  # noqa: PLC0415
    from headgate.config.settings_sources import SettingsError  # noqa: PLC0415

    try:
        with open_node(find_data_dir(config, data_dir, os.environ)) as node:
            return step(node)
    except SettingsError as error:
        _fail(*map(str, error.problems), "give --data-dir to find headgate without its settings")
    except NodeError as error:
        _fail(*error.problems)


@app.command()
def demo() -> None:
    """Start an upstream and a gateway before it, write a route, and show each event that passes."""
    from headgate.cli.demo import Demo, DemoError  # noqa: PLC0415

    try:
        Demo(os.environ).run()
    except DemoError as error:
        _fail(str(error))


@app.command()
def echo(
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT; default 127.0.0.1:8080, for clock 127.0.0.1:8000.")
    ] = None,
    style: Annotated[
        Literal["echo", "clock"], typer.Option(help="echo: jmalloc/echo-server; clock: Tyk's example.")
    ] = "echo",
) -> None:
    """Run the upstream of a walk-through: `.sse` echoes the request as events, or a clock that ticks every 5 s."""
    from headgate.config.address import parse_address  # noqa: PLC0415
    from headgate.echo.server import serve  # noqa: PLC0415

    try:
        address = parse_address(listen or ("127.0.0.1:8080" if style == "echo" else "127.0.0.1:8000"))
    except ValueError as error:
        _fail(f"--listen: {error}")
    try:
        asyncio.run(serve(style, address.host, address.port))
    except OSError as error:
        _fail(f"cannot listen on {listen or address}: {error.strerror or error}; choose another with --listen")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="headgate.yaml or a routes file.")]) -> None:
    """Say every problem of a settings or routes file with its place; exit 1 if there is one."""
    from headgate.config.check import check_file  # noqa: PLC0415
    from headgate.plugins.catalog import Catalog  # noqa: PLC0415
    from headgate.server.generation import Trial  # noqa: PLC0415

    catalog = Catalog()
    problems = check_file(file, catalog, os.environ, admit=Trial(catalog).admit)
    if problems:
        _fail(*map(str, problems))
    print(f"{file}: no problem found")


@app.command()
def version() -> None:
    """Print the version."""
    print(f"headgate {__version__}")


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        print(f"headgate: {line}", file=sys.stderr)
    raise typer.Exit(1)


def main() -> None:
    """Run the command line. What it cannot understand it says in one line, with exit status 2."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        status = error.exit_code
        if text := error.format_message():  # there is none when the help was printed, as for `headgate` alone
            end = "" if text.endswith((".", "?")) else "."
            print(f"headgate: {text}{end} See headgate --help", file=sys.stderr)
    sys.exit(status)
