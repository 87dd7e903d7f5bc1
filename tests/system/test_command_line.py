"""What cannot be done is said in one line that tells what to do, with an exit status that scripts see."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.client import get
from tests.origin import Origin
from tests.running_program import Program
from tests.system.marked_processes import Mark

import headgate

ANYWHERE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--metrics", "off", "--workers", "2")
KEYS = '[{"name": "ops", "key": "a-secret", "role": "admin"}]'


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended: its exit status, and its lines but for the supervisor's announcements (level info)."""

    status: int
    out: list[str]
    err: list[str]


def headgate_command(
    directory: Path, *arguments: str, environ: Mapping[str, str] | None = None, program: tuple[str, ...] | None = None
) -> Done:
    """Run ``headgate`` in ``directory`` to its end, and see that it leaves nothing running and shows no traceback."""
    mark = Mark()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
    done = subprocess.run(
        [*(program or (sys.executable, "-m", "headgate")), *arguments],
        cwd=directory,
        env={**clean, "COLUMNS": "80", **(environ or {}), **mark.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    mark.wait_none_left()
    assert "Traceback" not in done.stderr
    return Done(
        done.returncode, done.stdout.splitlines(), [line for line in done.stderr.splitlines() if not _is_info(line)]
    )


def _is_info(line: str) -> bool:
    return line.startswith("{") and json.loads(line)["level"] == "info"


def check_refused(done: Done, *said: str, status: int = 1) -> None:
    """See that it failed with exactly these lines; each of ``said`` is a pattern for the whole of a line's text."""
    texts = [
        json.loads(line)["event"] if line.startswith("{") else line.removeprefix("headgate: ") for line in done.err
    ]
    assert len(texts) == len(said), texts
    for text, pattern in zip(texts, said, strict=True):
        assert re.fullmatch(pattern, text), text
    assert (done.status, done.out) == (status, [])


class TestAddresses:
    @pytest.mark.parametrize("setting", ["listen", "admin", "metrics"])
    def test_a_taken_port_is_said_with_what_to_change(self, tmp_path: Path, setting: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = headgate_command(tmp_path, "run", *ANYWHERE, f"--{setting}", address)
        check_refused(
            done,
            f"cannot listen on {address}: the port is in use by another program; choose another with "
            rf"--{setting}, HEADGATE_{setting.upper()} or {setting}: in headgate\.yaml",
        )

    def test_another_headgates_port_is_taken_too(self, tmp_path: Path) -> None:
        with Program(tmp_path) as other:
            address = f"127.0.0.1:{other.port}"
            done = headgate_command(tmp_path, "run", *ANYWHERE, "--data-dir", "mine", "--listen", address)
        check_refused(done, f"cannot listen on {address}: the port is in use by another program; .*")

    def test_a_taken_default_metrics_port_moves_the_metrics_to_the_admin_api(self, tmp_path: Path) -> None:
        with DefaultMetricsPort(), Program(tmp_path, without=["--metrics"]) as program:
            [warning] = [line for line in program.errors if not _is_info(line)]
            assert json.loads(warning)["level"] == "warning"
            assert "127.0.0.1:9091" in warning
            assert "metrics are served on the Admin API's address only" in warning
            assert program.ready["metrics"] == program.ready["admin"]
            assert program.metric("headgate_streams_open") == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--listen", "192.0.2.1:0"), "cannot listen on 192.0.2.1:0: this machine does not have the address; .*"),
            (("--listen", "no-such-name.invalid:80"), ".*the name no-such-name.invalid cannot be resolved.*"),
            (("--admin", "0.0.0.0:0"), "--admin: admin: 0.0.0.0:0 can be reached from other machines, and .*"),
            (("--listen", "9080"), r'--listen: listen\[1\]: expected "HOST:PORT" .*'),
            (("--metrics", "on"), '--metrics: metrics: expected "HOST:PORT" .*, or "off"'),
        ],
    )
    def test_an_address_that_cannot_be_used(self, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
        check_refused(headgate_command(tmp_path, "run", *ANYWHERE, *arguments), said)

    def test_an_admin_api_for_other_machines_needs_keys_and_then_asks_for_them(self, tmp_path: Path) -> None:
        with Program(tmp_path, "--admin=0.0.0.0:0", environ={"HEADGATE_ADMIN_KEYS": KEYS}) as program:
            assert program.admin("GET", "routes").status == 401
            assert program.admin("GET", "routes", headers={"X-API-KEY": "a-secret"}).status == 200
            assert not any("a-secret" in line for line in program.errors)


class DefaultMetricsPort:
    """Holds the default metrics port, unless some other program does already."""

    def __enter__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", 9091))
            self._socket.listen()
        except OSError:
            self._socket.close()

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _loose(data: Path) -> None:
    data.mkdir()
    data.chmod(0o755)


def _no_database(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "config.sqlite3").write_bytes(b"no database at all " * 300)
    (data / "config.sqlite3").chmod(0o600)


def _damaged(data: Path) -> None:
    with Program(data.parent) as program:
        for number in range(50):
            program.route(str(number), f"/{number}", "127.0.0.1:1", desc="x" * 200)
    database = data / "config.sqlite3"
    content = bytearray(database.read_bytes())
    content[4096:-4096] = b"\xa5" * (len(content) - 8192)
    database.write_bytes(content)


def _loose_database(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "config.sqlite3").touch(mode=0o644)


def _no_regular_database(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "config.sqlite3").mkdir()


def _a_file(data: Path) -> None:
    data.touch()


class TestStore:
    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (_loose, r"data directory \S+ is open to other users \(mode 0755\): run chmod 700 \S+"),
            (_a_file, r"data directory \S+: File exists; choose another with --data-dir"),
            (_no_database, r"control: cannot open \S+ \(file is not a database\): restore it from a backup, .*"),
            (_damaged, r"control: .*config\.sqlite3.*: restore it from a backup, or move it away"),
            (_loose_database, r"control: \S+ is open to other users \(mode 0644\): chmod 600 \S+"),
            (_no_regular_database, r"control: \S+ is not a regular file: move it away"),
        ],
    )
    def test_one_that_cannot_be_used(self, tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
        make(tmp_path / "data")
        check_refused(headgate_command(tmp_path, "run", *ANYWHERE, "--data-dir", "data"), said)

    def test_one_that_another_headgate_holds(self, tmp_path: Path) -> None:
        with Program(tmp_path) as other:
            done = headgate_command(tmp_path, "run", *ANYWHERE, "--data-dir", str(other.data_dir))
            check_refused(
                done,
                rf"data directory \S+ is in use by another headgate \(process {other.process.pid}\): "
                "stop that one, or choose another with --data-dir",
            )
            assert other.put("routes/1", {"uri": "/", "upstream": {"nodes": {}}}).status == 201


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "environ", "arguments", "said"),
        [
            (
                "workers: 1\nlistn: x\nhttp:\n  max_headrs: 3\n",
                {},
                (),
                (
                    r'headgate\.yaml:2:1: listn: no such setting; did you mean "listen"\?',
                    r'headgate\.yaml:4:3: http\.max_headrs: no such setting; did you mean "max_headers"\?',
                ),
            ),
            ("workers: [\n", {}, (), (r"headgate\.yaml:2:1: invalid YAML: .*",)),
            (
                "",
                {"HEADGATE_WORKRS": "1", "HEADGATE_HTTP_MAX_HEADERS": "many"},
                (),
                (
                    'HEADGATE_WORKRS: no such setting; did you mean "HEADGATE_WORKERS"?'.replace("?", r"\?"),
                    r"HEADGATE_HTTP_MAX_HEADERS: http\.max_headers: expected a whole number, got a text",
                ),
            ),
            ("", {}, ("--workers", "0"), ("--workers: workers: must be at least 1",)),
            ("", {}, ("--config", "none.yaml"), (r"none\.yaml: cannot be read: No such file or directory",)),
            (
                "upstream: {ca_file: headgate.yaml}\n",
                {},
                (),
                (r"headgate\.yaml:1:12: upstream\.ca_file: headgate\.yaml holds no certificates .*",),
            ),
            (
                "",
                {"HEADGATE_UPSTREAM_CA_FILE": "none.pem"},
                (),
                (r"HEADGATE_UPSTREAM_CA_FILE: upstream\.ca_file: none\.pem cannot be read: No such file .*",),
            ),
            ("", {}, ("--routes", "none.yaml"), (r"control: none\.yaml: cannot be read: No such file or directory",)),
            (
                "",
                {},
                ("--routes", "headgate.yaml"),
                (r"control: headgate\.yaml:\d+:\d+: the file does not end with #END, .*",),
            ),
            (
                "",
                {"HEADGATE_ACCESS_LOG": "/no/such/file"},
                (),
                (r"worker [01]: access_log: /no/such/file cannot be opened: No such file or directory",),
            ),
        ],
    )
    def test_each_problem_is_a_line_with_its_place(
        self, tmp_path: Path, text: str, environ: dict[str, str], arguments: tuple[str, ...], said: tuple[str, ...]
    ) -> None:
        (tmp_path / "headgate.yaml").write_text(text)
        check_refused(headgate_command(tmp_path, "run", *ANYWHERE, *arguments, environ=environ), *said)

    def test_flags_win_over_variables_and_these_over_the_file(self, tmp_path: Path) -> None:
        """Each layer gives what the ones above it leave out, as it shows in where headgate listens."""
        file, variable = ("127.0.0.2:0", "127.0.0.3:0")
        (tmp_path / "headgate.yaml").write_text(f'listen: ["{file}"]\nadmin: "{file}"\nmetrics: "{file}"\nworkers: 1\n')
        environ = {"HEADGATE_ADMIN": variable, "HEADGATE_METRICS": variable}
        without = ["--listen", "--admin"]
        with Program(tmp_path, "--metrics=127.0.0.4:0", without=without, environ=environ) as program:
            hosts = {name: program.ready[name][0].partition(":")[0] for name in ("listen", "admin", "metrics")}
            assert hosts == {"listen": "127.0.0.2", "admin": "127.0.0.3", "metrics": "127.0.0.4"}


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("run", "--bogus"), "No such option: --bogus.*"),
            (("run", "--workers"), "Option '--workers' requires an argument. See .*"),
            (("rnu",), r"No such command 'rnu'\. Did you mean 'run'\? See headgate --help"),
            (("check",), "Missing argument 'file'. See .*"),
            (("version", "now"), r"Got unexpected extra argument.*"),
            (("echo", "--style", "loud"), "Invalid value for '--style': .*"),
        ],
    )
    def test_what_is_not_understood(self, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
        check_refused(headgate_command(tmp_path, *arguments), said, status=2)

    @pytest.mark.parametrize(("arguments", "status"), [((), 2), (("--help",), 0)])
    def test_help(self, tmp_path: Path, arguments: tuple[str, ...], status: int) -> None:
        done = headgate_command(tmp_path, *arguments)
        assert (done.status, done.err) == (status, [])
        for command in ("run", "reload", "drain", "streams", "demo", "echo", "check", "version"):
            assert re.search(rf"^\W*{command}  ", "\n".join(done.out), re.MULTILINE), command

    @pytest.mark.parametrize("program", [None, (str(Path(sys.executable).parent / "headgate"),)])
    def test_version(self, tmp_path: Path, program: tuple[str, ...] | None) -> None:
        done = headgate_command(tmp_path, "version", program=program)
        assert done == Done(0, [f"headgate {headgate.__version__}"], [])

    def test_echo_on_a_taken_port(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = headgate_command(tmp_path, "echo", "--listen", address)
        check_refused(done, f"cannot listen on {address}: .*in use.*; choose another with --listen")


class TestCheck:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("headgate.yaml", "listen: [127.0.0.1:1]\n"),
            ("routes.yaml", "routes:\n  - uri: /\n    upstream: {nodes: {'127.0.0.1:1': 1}}\n#END\n"),
            ("routes.json", '{"routes": [{"uri": "/", "plugins": {"sse": {}}, "upstream": {"nodes": {}}}]}'),
        ],
    )
    def test_a_good_file(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        assert headgate_command(tmp_path, "check", name) == Done(0, [f"{name}: no problem found"], [])

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            (
                "headgate.yaml",
                "listen: [x]\nworkers: many\n",
                (r'headgate\.yaml:1:10: listen\[0\]: expected "HOST:PORT" .*', r"headgate\.yaml:2:1: workers: .*"),
            ),
            (
                "routes.yaml",
                "routes:\n  - uri: /\n    upstream: {nodes: {}}\n    methds: []\n  - plugins: {nope: {}}\n    uri: /\n#END\n",
                (
                    r"routes\.yaml:4:5: routes\[0\].*additional properties forbidden, found methds",
                    r"routes\.yaml:5:\d+: routes\[1\]\.plugins.*unknown plugin \[nope\]",
                ),
            ),
            (
                "routes.json",
                '{"routes": [{"uri": "/", "plugins": {"sse": {"proxy_read_timeout": -1}}}]}',
                (r"routes\.json:1:\d+: routes\[0\]\.plugins\.sse.*expected -1 to be at least 0",),
            ),
            ("none.yaml", None, (r"none\.yaml: cannot be read: No such file or directory",)),
        ],
    )
    def test_each_problem_of_a_bad_file_with_its_place(
        self, tmp_path: Path, name: str, text: str | None, said: tuple[str, ...]
    ) -> None:
        if text is not None:
            (tmp_path / name).write_text(text)
        check_refused(headgate_command(tmp_path, "check", name), *said)

    def test_a_good_routes_file_is_what_run_serves(self, tmp_path: Path) -> None:
        with Origin() as origin:
            route = {"uri": "/hello", "upstream": {"nodes": {origin.address: 1}}}
            (tmp_path / "routes.json").write_text(json.dumps({"routes": [route]}))
            assert headgate_command(tmp_path, "check", "routes.json").status == 0
            with Program(tmp_path, "--routes=routes.json") as program:
                assert get(program.port, "/hello").body == b"hello world\n"


def test_more_workers_than_descriptors_is_one_clear_line(tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -n 64; exec "$0" "$@"', sys.executable, "-m", "headgate")
    anywhere = [*ANYWHERE[:-1], "24"]
    done = headgate_command(tmp_path, "run", *anywhere, "--data-dir", "data", program=limited)
    check_refused(done, "not enough file descriptors for 24 workers: lower --workers, or raise `ulimit -n`")
