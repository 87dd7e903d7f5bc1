from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headgate.config.overrides import did_you_mean, overrides_from
from headgate.config.settings import WrittenSettings


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("HEADGATE_ADMIN", "127.0.0.1:1", ("admin",), "127.0.0.1:1"),
        ("HEADGATE_ROUTES", "123", ("routes",), "123"),
        ("HEADGATE_WORKERS", "4", ("workers",), 4),
        ("HEADGATE_WORKERS", "auto", ("workers",), "auto"),
        ("HEADGATE_WORKERS", "[4]", ("workers",), "[4]"),
        ("HEADGATE_HTTP_HEAD_TIMEOUT_S", "2.5", ("http", "head_timeout_s"), 2.5),
        ("HEADGATE_UPSTREAM_MAX_HEAD_BYTES", "1e4", ("upstream", "max_head_bytes"), 10000.0),
        ("HEADGATE_DRAIN_WINDOW_S", "soon", ("drain", "window_s"), "soon"),
        ("HEADGATE_STREAMS_KEEPALIVE_S", "0", ("streams", "keepalive_s"), 0),
        ("HEADGATE_TCP_KEEPALIVE_S", "2.5", ("tcp", "keepalive_s"), 2.5),
        ("HEADGATE_LISTEN", "0.0.0.0:1", ("listen",), ["0.0.0.0:1"]),
        ("HEADGATE_LISTEN", "0.0.0.0:1, [::]:1", ("listen",), ["0.0.0.0:1", "[::]:1"]),
        ("HEADGATE_LISTEN", "[::]:1,[::]:2", ("listen",), ["[::]:1", "[::]:2"]),
        ("HEADGATE_LISTEN", '["[::]:1", 5]', ("listen",), ["[::]:1", 5]),
        ("HEADGATE_MASK_QUERY_KEYS", "sig,1", ("mask_query_keys",), ["sig", "1"]),
        ("HEADGATE_TRUSTED_ADDRESSES", "10.0.0.0/8", ("trusted_addresses",), ["10.0.0.0/8"]),
        ("HEADGATE_ADMIN_KEYS", '[{"name": "a"}]', ("admin_keys",), [{"name": "a"}]),
    ],
)
def test_a_variable_is_read_by_the_kind_of_its_setting(name: str, text: str, path: tuple[str, ...], value: Any) -> None:
    [override], problems = overrides_from(WrittenSettings, {name: text}, {})
    assert (override.path, override.source, override.value, problems) == (path, name, value, [])


@pytest.mark.parametrize(
    ("name", "value", "path", "source", "read"),
    [
        ("listen", ("0.0.0.0:1",), ("listen",), "--listen", ["0.0.0.0:1"]),
        ("listen", "0.0.0.0:1", ("listen",), "--listen", ["0.0.0.0:1"]),
        ("routes", Path("a/b.yaml"), ("routes",), "--routes", "a/b.yaml"),
        ("workers", 4, ("workers",), "--workers", 4),
        ("workers", "4", ("workers",), "--workers", 4),
        ("workers", 0, ("workers",), "--workers", 0),
        ("http.max_headers", 5, ("http", "max_headers"), "--http-max-headers", 5),
    ],
)
def test_a_flag_is_typed_or_text(name: str, value: object, path: tuple[str, ...], source: str, read: Any) -> None:
    [override], problems = overrides_from(WrittenSettings, {}, {name: value})
    assert (override.path, override.source, override.value, problems) == (path, source, read, [])


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({"HEADGATE_ADMIN": ""}, {}),
        ({}, {"admin": None, "listen": (), "mask_query_keys": []}),
        ({"PATH": "/bin", "LISTEN": "x", "headgate_admin": "x"}, {}),
        ({"HEADGATE_ADMIN_KEY": "x"}, {}),  # what `headgate streams` calls the Admin API with
        # What Kubernetes sets in every pod beside a Service "headgate" with two named ports, or "headgate-admin".
        (
            dict.fromkeys(
                (
                    "HEADGATE_SERVICE_HOST",
                    "HEADGATE_SERVICE_PORT",
                    "HEADGATE_SERVICE_PORT_PROXY",
                    "HEADGATE_PORT",
                    "HEADGATE_PORT_9080_TCP",
                    "HEADGATE_PORT_9080_TCP_ADDR",
                    "HEADGATE_ADMIN_SERVICE_HOST",
                    "HEADGATE_ADMIN_PORT",
                ),
                "x",
            ),
            {},
        ),
    ],
)
def test_what_is_not_given_or_not_ours_is_passed_over(environ: dict[str, str], flags: dict[str, object]) -> None:
    assert overrides_from(WrittenSettings, environ, flags) == ([], [])


@pytest.mark.parametrize(
    ("environ", "flags", "text"),
    [
        ({"HEADGATE_LISTN": "x"}, {}, 'HEADGATE_LISTN: no such setting; did you mean "HEADGATE_LISTEN"?'),
        ({"HEADGATE_ZZZZ": "x"}, {}, "HEADGATE_ZZZZ: no such setting"),
        ({"HEADGATE_HTTP": "{}"}, {}, "HEADGATE_HTTP: no such setting"),
        ({"HEADGATE_STOP_WITHIN_S": "4"}, {}, "HEADGATE_STOP_WITHIN_S: no such setting"),
        ({"HEADGATE_METRICS_EXPLICIT": "1"}, {}, "HEADGATE_METRICS_EXPLICIT: no such setting"),
        ({}, {"max_headers": 1}, "--max-headers: no such setting"),
    ],
)
def test_a_name_that_is_no_setting_is_a_problem(environ: dict[str, str], flags: dict[str, object], text: str) -> None:
    overrides, [problem] = overrides_from(WrittenSettings, environ, flags)
    assert overrides == []
    assert str(problem).startswith(text)


def test_flags_come_after_variables() -> None:
    overrides, _ = overrides_from(WrittenSettings, {"HEADGATE_ADMIN": "a"}, {"admin": "b"})
    assert [override.value for override in overrides] == ["a", "b"]


@pytest.mark.parametrize(("name", "hint"), [("listn", '; did you mean "listen"?'), ("zzz", "")])
def test_a_near_miss_is_suggested(name: str, hint: str) -> None:
    assert did_you_mean(name, ["listen", "admin"]) == hint
