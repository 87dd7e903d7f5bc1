from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.config.client_pem import CERTIFICATE

from headgate.config.problem import Problem
from headgate.config.settings import AdminKey, DrainSettings, Settings, StreamSettings, TcpSettings
from headgate.config.settings_sources import SettingsError, load

KEY = {"name": "ops", "key": "secret", "role": "admin"}


def write(directory: Path, text: str) -> Path:
    path = directory / "headgate.yaml"
    path.write_text(text)
    return path


EVERYTHING = """\
listen: [127.0.0.1:9080, "[::1]:9080"]
admin: 0.0.0.0:9180
admin_keys:
  - {name: ops, key: secret, role: admin}
  - {name: board, key: other, role: viewer}
metrics: off
workers: 3
data_dir: /var/lib/headgate
routes: routes.yaml
access_log: off
mask_query_keys: [sig]
x_forwarded_host: legacy
trusted_addresses: [10.0.0.0/8, 127.0.0.1, "fd00::/8"]
http: {head_timeout_s: 5, max_headers: 50}
upstream: {resolve_interval_s: 0.5}
streams: {keepalive_s: 0, max_event_bytes: 4096, retry_s: 0.5, progress_s: 60}
tcp: {user_timeout_s: 10, keepalive_s: 5}
drain: {delay_s: 2, window_s: 30, idle_s: 0}
"""


def test_every_setting_can_be_given_in_the_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, EVERYTHING), {}, {})
    assert settings.listen == ("127.0.0.1:9080", "[::1]:9080")
    assert settings.admin_keys[1] == AdminKey(name="board", key="other", role="viewer")
    assert (settings.metrics, settings.metrics_explicit) == ("off", True)
    assert (settings.workers, settings.data_dir, settings.routes) == (
        3,
        Path("/var/lib/headgate"),
        Path("routes.yaml"),
    )
    assert (settings.access_log, settings.mask_query_keys) == ("off", ("sig",))
    assert settings.trusted_addresses == ("10.0.0.0/8", "127.0.0.1", "fd00::/8")
    assert (settings.http.head_timeout_s, settings.http.max_headers, settings.http.max_uri_bytes) == (5.0, 50, 8192)
    assert settings.upstream.resolve_interval_s == 0.5
    assert settings.streams == StreamSettings(keepalive_s=0.0, max_event_bytes=4096, retry_s=0.5, progress_s=60.0)
    assert settings.tcp == TcpSettings(user_timeout_s=10.0, keepalive_s=5.0)
    assert settings.drain == DrainSettings(delay_s=2.0, window_s=30.0, idle_s=0.0)


def test_a_file_of_authorities_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(CERTIFICATE)
    settings = load(write(tmp_path, f"upstream: {{ca_file: {path}}}\n"), {}, {})
    path.write_text("broken since")
    later = Settings.model_validate_json(settings.model_dump_json())  # as a process that is started later gets them
    assert (later.upstream.ca_file, later.authorities) == (path, CERTIFICATE)


def test_a_json_file_works_as_well(tmp_path: Path) -> None:
    path = tmp_path / "headgate.json"
    path.write_text('{"admin": "127.0.0.1:1",\n "http": {"max_headers": "x"}}')
    with pytest.raises(SettingsError) as caught:
        load(path, {}, {})
    assert caught.value.problems == [
        Problem(str(path), 2, 11, "http.max_headers", "expected a whole number, got a text"),
    ]


class TestLayers:
    def test_the_default_file_counts_where_it_exists(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write(tmp_path, "workers: 7")
        assert load(None, {}, {}).workers == 7

    def test_a_named_file_must_exist(self, tmp_path: Path) -> None:
        path = tmp_path / "none.yaml"
        with pytest.raises(SettingsError) as caught:
            load(path, {}, {})
        assert caught.value.problems == [
            Problem(str(path), None, None, "", "cannot be read: No such file or directory"),
        ]

    def test_an_empty_file_is_fine(self, tmp_path: Path) -> None:
        assert load(write(tmp_path, "# nothing\n"), {}, {}).listen == ("0.0.0.0:9080",)

    def test_flags_win_over_variables_and_these_over_the_file(self, tmp_path: Path) -> None:
        path = write(tmp_path, "workers: 1\nhttp: {max_headers: 1, max_uri_bytes: 1, send_timeout_s: 1}")
        environ = {"HEADGATE_WORKERS": "2", "HEADGATE_HTTP_MAX_HEADERS": "2", "HEADGATE_HTTP_MAX_URI_BYTES": "2"}
        settings = load(path, environ, {"workers": 3, "http.max_headers": "3"})
        assert settings.workers == 3
        assert (settings.http.max_headers, settings.http.max_uri_bytes, settings.http.send_timeout_s) == (3, 2, 1.0)

    def test_a_list_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        path = write(tmp_path, "listen: [127.0.0.1:1, 127.0.0.1:2]")
        assert load(path, {"HEADGATE_LISTEN": "127.0.0.1:3"}, {}).listen == ("127.0.0.1:3",)

    def test_workers_auto_is_one_for_each_cpu(self, tmp_path: Path) -> None:
        assert load(write(tmp_path, "workers: 3"), {}, {"workers": "auto"}).workers == os.cpu_count()

    @pytest.mark.parametrize(
        ("text", "environ", "flags", "explicit"),
        [
            ("workers: 1", {}, {}, False),
            ("metrics: 127.0.0.1:9091", {}, {}, True),
            ("", {"HEADGATE_METRICS": "127.0.0.1:1"}, {}, True),
            ("", {}, {"metrics": "off"}, True),
            ("", {}, {"metrics": None}, False),
        ],
    )
    def test_metrics_knows_whether_somebody_chose_it(
        self, tmp_path: Path, text: str, environ: dict[str, str], flags: dict[str, object], explicit: bool
    ) -> None:
        assert load(write(tmp_path, text), environ, flags).metrics_explicit is explicit

    @pytest.mark.parametrize("address", ["127.0.0.1:9180", "127.9.9.9:9180", "[::1]:9180", "localhost:9180"])
    def test_the_admin_api_needs_no_keys_on_loopback(self, tmp_path: Path, address: str) -> None:
        assert load(write(tmp_path, f'admin: "{address}"'), {}, {}).admin == address

    def test_keys_from_a_variable_open_the_admin_api_to_others(self, tmp_path: Path) -> None:
        environ = {"HEADGATE_ADMIN_KEYS": '[{"name": "ops", "key": "secret", "role": "admin"}]'}
        assert load(write(tmp_path, "admin: 0.0.0.0:9180"), environ, {}).admin_keys == (AdminKey.model_validate(KEY),)

    def test_port_0_may_stand_more_than_once(self, tmp_path: Path) -> None:
        settings = load(write(tmp_path, "listen: [127.0.0.1:0]\nadmin: 127.0.0.1:0\nmetrics: 127.0.0.1:0"), {}, {})
        assert settings.metrics == "127.0.0.1:0"


ADDRESS = 'expected "HOST:PORT" with a port of 0 to 65535, such as "127.0.0.1:9080" or "[::1]:9080"'
OPEN = "can be reached from other machines, and there are no admin_keys: set some, or use 127.0.0.1"


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "message"),
    [
        ("- a", 1, 1, "", "expected a mapping of settings"),
        ("text", 1, 1, "", "expected a mapping of settings"),
        ("a: [}", 1, 5, "", "invalid YAML: did not find expected node content"),
        ("workers: 1\nworkers: 2", 2, 1, "workers", "the key stands twice, first on line 1"),
        ("http: {max_headers: 1, max_headers: 2}", 1, 24, "http.max_headers", "the key stands twice, first on line 1"),
        ("workers: 1\nlistn: x", 2, 1, "listn", 'no such setting; did you mean "listen"?'),
        ("zzz: x", 1, 1, "zzz", "no such setting"),
        ("http:\n  max_header: 1", 2, 3, "http.max_header", 'no such setting; did you mean "max_headers"?'),
        ("metrics_explicit: true", 1, 1, "metrics_explicit", 'no such setting; did you mean "metrics"?'),
        ("listen: 127.0.0.1:1", 1, 1, "listen", "expected a list, got a text"),
        ("listen: []", 1, 1, "listen", "must not be empty"),
        ("listen: [127.0.0.1:1, 5]", 1, 23, "listen[1]", "expected a text, got a number"),
        ("listen:\n  - 127.0.0.1:1\n  - 127.0.0.1", 3, 5, "listen[1]", ADDRESS),
        ("listen: [127.0.0.1:1, 127.0.0.1:1]", 1, 1, "listen", "127.0.0.1:1 is used twice"),
        ("listen: [127.0.0.1:1]\nadmin: 127.0.0.1:1", 2, 1, "admin", "127.0.0.1:1 is used twice"),
        ("admin: 127.0.0.1:1\nmetrics: 127.0.0.1:1", 2, 1, "metrics", "127.0.0.1:1 is used twice"),
        ("admin: off", 1, 1, "admin", ADDRESS),
        ("admin:", 1, 1, "admin", "expected a text, got nothing"),
        ("admin: 0.0.0.0:9180", 1, 1, "admin", f"0.0.0.0:9180 {OPEN}"),
        ('workers: 1\nadmin: "[::]:9180"', 2, 1, "admin", f"[::]:9180 {OPEN}"),
        ("admin: gate.example:9180\nadmin_keys: []", 1, 1, "admin", f"gate.example:9180 {OPEN}"),
        ("metrics: on", 1, 1, "metrics", ADDRESS + ', or "off"'),
        ("metrics: false", 1, 1, "metrics", "expected a text, got false"),
        ("workers: 0", 1, 1, "workers", "must be at least 1"),
        ("workers: true", 1, 1, "workers", "expected a whole number, got true"),
        ("workers: 1.5", 1, 1, "workers", "expected a whole number, got a fraction"),
        ("workers: many", 1, 1, "workers", "expected a whole number, got a text"),
        ("data_dir: ''", 1, 1, "data_dir", "expected a path, got an empty text"),
        ("data_dir: 5", 1, 1, "data_dir", "expected a path, got a number"),
        ("routes: [a]", 1, 1, "routes", "expected a path, got a list"),
        ("access_log: ''", 1, 1, "access_log", "must not be empty"),
        ("mask_query_keys: [a, '']", 1, 22, "mask_query_keys[1]", "must not be empty"),
        ("x_forwarded_host: old", 1, 1, "x_forwarded_host", "expected one of 'full' or 'legacy'"),
        (
            "trusted_addresses: [10.0.0.0/33]",
            1,
            21,
            "trusted_addresses[0]",
            'expected an IP address or CIDR, such as "10.0.0.0/8"',
        ),
        ("http: 5", 1, 1, "http", "expected a mapping, got a number"),
        ("http:", 1, 1, "http", "expected a mapping, got nothing"),
        ("http: {head_timeout_s: 0}", 1, 8, "http.head_timeout_s", "must be more than 0"),
        ("http: {head_timeout_s: '1'}", 1, 8, "http.head_timeout_s", "expected a number, got a text"),
        ("http: {max_head_bytes: 1}", 1, 8, "http.max_head_bytes", "must be at least 1024"),
        ("streams: {keepalive_s: -1}", 1, 11, "streams.keepalive_s", "must be at least 0"),
        (
            "streams: {max_event_bytes: 1.5}",
            1,
            11,
            "streams.max_event_bytes",
            "expected a whole number, got a fraction",
        ),
        ("streams: {retry_s: 0}", 1, 11, "streams.retry_s", "must be more than 0"),
        ("tcp: {user_timeout_s: off}", 1, 7, "tcp.user_timeout_s", "expected a number, got a text"),
        ("drain: {window_s: 0}", 1, 9, "drain.window_s", "must be more than 0"),
        ("drain: {delay_s: -1}", 1, 9, "drain.delay_s", "must be at least 0"),
        ("stop: {within_s: 4}", 1, 1, "stop", "no such setting"),
        ("upstream: {resolve_interval_s: .inf}", 1, 12, "upstream.resolve_interval_s", "expected a number, got a text"),
        ("admin_keys: [{name: a, key: b}]", 1, 14, "admin_keys[0].role", "this key is required"),
        ("admin_keys: [a]", 1, 14, "admin_keys[0]", "expected a mapping, got a text"),
        (
            "admin_keys: [{name: a, key: b, role: c}]",
            1,
            32,
            "admin_keys[0].role",
            "expected one of 'admin' or 'viewer'",
        ),
        (
            "admin_keys: [{name: a, key: 'x y', role: admin}]",
            1,
            24,
            "admin_keys[0].key",
            "must be visible ASCII without spaces, at least one character",
        ),
        (
            "admin_keys: [{name: a, key: b, role: admin}, {name: a, key: c, role: admin}]",
            1,
            1,
            "admin_keys",
            "two of the keys have the same name",
        ),
        (
            "admin_keys: [{name: a, key: b, role: admin}, {name: c, key: b, role: admin}]",
            1,
            1,
            "admin_keys",
            "two of the keys have the same key",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_place(
    tmp_path: Path, text: str, line: int, column: int, path: str, message: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(file, {}, {})
    assert caught.value.problems == [Problem(str(file), line, column, path, message)]


@pytest.mark.parametrize(
    ("environ", "flags", "text"),
    [
        ({"HEADGATE_WORKERS": "x"}, {}, "HEADGATE_WORKERS: workers: expected a whole number, got a text"),
        ({"HEADGATE_LISTEN": "127.0.0.1:1,x"}, {}, f"HEADGATE_LISTEN: listen[1]: {ADDRESS}"),
        ({"HEADGATE_ADMIN": "0.0.0.0:1"}, {}, f"HEADGATE_ADMIN: admin: 0.0.0.0:1 {OPEN}"),
        ({"HEADGATE_HTTP_MAX_HEADERS": "0"}, {}, "HEADGATE_HTTP_MAX_HEADERS: http.max_headers: must be at least 1"),
        ({"HEADGATE_ADMIN_KEYS": "secret"}, {}, "HEADGATE_ADMIN_KEYS: admin_keys[0]: expected a mapping, got a text"),
        ({"HEADGATE_LISTN": "x"}, {}, 'HEADGATE_LISTN: no such setting; did you mean "HEADGATE_LISTEN"?'),
        ({"HEADGATE_ADMIN": "x"}, {"admin": "y"}, f"--admin: admin: {ADDRESS}"),
        ({}, {"http.max_headers": "x"}, "--http-max-headers: http.max_headers: expected a whole number, got a text"),
        ({}, {"zzz": 1}, "--zzz: no such setting"),
    ],
)
def test_a_bad_variable_or_flag_is_refused_by_its_name(
    tmp_path: Path, environ: dict[str, str], flags: dict[str, object], text: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, "workers: 1"), environ, flags)
    assert [str(problem) for problem in caught.value.problems] == [text]


def test_all_problems_are_said_at_once_in_the_order_of_the_text(tmp_path: Path) -> None:
    file = write(tmp_path, "workers: 0\nlistn: x\nworkers: 2\nadmin: 0.0.0.0:1\nhttp: {max_headers: x}\n")
    with pytest.raises(SettingsError) as caught:
        load(file, {"HEADGATE_ZZZ": "1"}, {"drain.window_s": 0})
    found: list[tuple[Any, str]] = [(problem.line, problem.path) for problem in caught.value.problems]
    assert found == [
        (None, ""),
        (None, "drain.window_s"),
        (1, "workers"),
        (2, "listn"),
        (3, "workers"),
        (4, "admin"),
        (5, "http.max_headers"),
    ]


def test_a_broken_file_does_not_make_the_variables_look_wrong(tmp_path: Path) -> None:
    file = write(tmp_path, "admin_keys: [{name: ops, key: secret, role: admin}\n")
    with pytest.raises(SettingsError) as caught:
        load(file, {"HEADGATE_ADMIN": "0.0.0.0:9180"}, {})
    [problem] = caught.value.problems
    assert problem.message.startswith("invalid YAML")


def test_no_problem_repeats_a_secret(tmp_path: Path) -> None:
    file = write(tmp_path, "admin_keys: [{name: a, key: 'hush hush', role: hush}, hush, {hush: 1, key: [hush]}]\n")
    with pytest.raises(SettingsError) as caught:
        load(file, {"HEADGATE_ADMIN_KEYS": ""}, {})
    assert not [problem for problem in caught.value.problems if "hush" in problem.message]
