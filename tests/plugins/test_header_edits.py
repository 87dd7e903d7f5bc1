from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.plain_exchange import exchange

from headgate.plugins.header_edits import HeaderEdits
from headgate.plugins.variables import ExchangeVariables
from headgate.wire.headers import Headers

CLIENT = ((b"Accept", b"text/html"), (b"X-A", b"1"), (b"x-a", b"2"))


def edited(headers: dict[str, Any], target: bytes = b"/") -> list[tuple[bytes, bytes]]:
    fields = Headers.of(CLIENT)
    HeaderEdits.compile(headers).apply(fields, ExchangeVariables(exchange(target), (b"whole", b"group")))
    return [(name, value) for _, name, value in fields]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-A": "new"}, [(b"Accept", b"text/html"), (b"X-A", b"new")]),
        ({"X-A": 3, "X-B": 1.5}, [(b"Accept", b"text/html"), (b"X-A", b"3"), (b"X-B", b"1.5")]),
        ({"X-A": ""}, [(b"Accept", b"text/html")]),
        ({"set": {"X-A": "new"}}, [(b"Accept", b"text/html"), (b"X-A", b"new")]),
        ({"add": {"X-A": "3"}}, [*CLIENT, (b"X-A", b"3")]),
        ({"add": {"X-B": ""}}, list(CLIENT)),
        ({"remove": ["X-a"]}, [(b"Accept", b"text/html")]),
        ({"add": {"X-B": "1"}, "set": {"X-B": "2"}, "remove": ["X-A"]}, [(b"Accept", b"text/html"), (b"X-B", b"2")]),
        ({"set": "flat"}, [*CLIENT, (b"set", b"flat")]),
        ({"X-B": "$arg_k-${1}"}, [*CLIENT, (b"X-B", b"v-group")]),
        ({"X-A": "$arg_none"}, [(b"Accept", b"text/html")]),
    ],
)
def test_edits(headers: dict[str, Any], expected: list[tuple[bytes, bytes]]) -> None:
    assert edited(headers, b"/?k=v") == expected


@pytest.mark.parametrize("path", [b"/a%0d%0aX-Evil:%201", b"/a%0aX", b"/a%0dX"])
@pytest.mark.parametrize("headers", [{"set": {"X-A": "$uri"}}, {"set": {"X-A": "x"}, "add": {"X-A": "$uri"}}])
def test_a_value_with_line_ends_leaves_no_field(path: bytes, headers: dict[str, Any]) -> None:
    fields = edited(headers, path)
    assert [value for _, value in fields if b"\r" in value or b"\n" in value] == []
    assert (b"X-A", b"1") not in fields


def test_host_is_kept_apart() -> None:
    edits = HeaderEdits.compile({"hOsT": "a.example", "X-B": "1"})
    assert edits.host is not None
    assert (edits.host.parts, [name for name, _ in edits.set]) == ((b"a.example",), [b"X-B"])


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"X-Api:Version": "v"}, "invalid field character in header"),
        ({"remove": ["a b"]}, "invalid field character in header"),
        ({"": "v"}, "invalid field length in header"),
        ({"X": "a\r\nb"}, "invalid value character in header"),
        ({"add": {"X": "a\0"}}, "invalid value character in header"),
        ({"X": True, "Y": ["z"]}, "invalid type as header value"),
        ({"X": True}, "invalid type as header value"),
        ({"X": None}, "invalid type as header value"),
        ({"set": {"X": []}}, "invalid type as header value"),
        ({"set": {}, "X": "v"}, "invalid type as header value"),
        ({"remove": [1]}, "invalid type as header field"),
        ({"remove": {"X": "v"}}, 'property "remove" validation failed: wrong type: expected array, got table'),
        ({"set": ["X"]}, 'property "set" validation failed: wrong type: expected object, got table'),
        ({"add": {"Host": "x"}}, "header Host can only be set"),
        ({"remove": ["host"]}, "header Host can only be set"),
        ({"Content-Length": "1"}, "header Content-Length belongs to the connection and can not be changed"),
        (
            {"remove": ["Transfer-Encoding"]},
            "header Transfer-Encoding belongs to the connection and can not be changed",
        ),
        ({"X": "$post_arg_a"}, 'post_arg variables are not available here: "$post_arg_a"'),
    ],
)
def test_refusals(headers: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole text is compared below
        HeaderEdits.compile(headers)
    assert str(refusal.value) == text
