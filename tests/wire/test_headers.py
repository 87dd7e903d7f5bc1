from __future__ import annotations

import pytest

from headgate.wire.headers import HOP_BY_HOP, Headers, valid_name, valid_value


def pairs(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name, value) for _, name, value in headers]


def test_order_spelling_and_bytes_are_kept() -> None:
    sent = [(b"X-b", b"2"), (b"a", b"\xff\x80"), (b"X-B", b""), (b"A", b" 1")]
    headers = Headers.of(sent)
    assert pairs(headers) == sent
    assert len(headers) == 4
    assert repr(headers) == f"Headers({sent!r})"


def test_lookups_are_blind_to_case() -> None:
    headers = Headers.of([(b"X-B", b"1"), (b"x-b", b"2"), (b"Other", b"3")])
    assert headers.get(b"x-b") == b"1"
    assert headers.get_all(b"x-b") == [b"1", b"2"]
    assert headers.combined(b"x-b") == b"1, 2"
    assert b"x-b" in headers


def test_an_absent_name_is_none() -> None:
    headers = Headers()
    assert headers.get(b"x-b") is None
    assert headers.get_all(b"x-b") == []
    assert headers.combined(b"x-b") is None
    assert b"x-b" not in headers


def test_set_replaces_all_where_the_first_stood() -> None:
    headers = Headers.of([(b"A", b"1"), (b"B", b"2"), (b"a", b"3"), (b"C", b"4")])
    headers.set(b"a", b"5")
    assert pairs(headers) == [(b"a", b"5"), (b"B", b"2"), (b"C", b"4")]
    headers.set(b"D", b"6")
    assert pairs(headers)[-1] == (b"D", b"6")
    assert headers.get(b"d") == b"6"


def test_add_and_remove() -> None:
    headers = Headers.of([(b"A", b"1")])
    headers.add(b"a", b"2")
    assert headers.get_all(b"a") == [b"1", b"2"]
    headers.remove(b"a")
    assert len(headers) == 0


def test_a_copy_is_its_own() -> None:
    headers = Headers.of([(b"A", b"1")])
    copy = headers.copy()
    copy.set(b"A", b"2")
    copy.add(b"B", b"3")
    assert pairs(headers) == [(b"A", b"1")]


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ([b"close"], {b"close"}),
        ([b"Keep-Alive, X-Foo"], {b"keep-alive", b"x-foo"}),
        ([b"a", b"\tb , c"], {b"a", b"b", b"c"}),
        ([b" , ,, "], set()),
        ([b""], set()),
        ([], set()),
        ([b"close2"], {b"close2"}),
    ],
)
def test_tokens_of_a_list_field(values: list[bytes], tokens: set[bytes]) -> None:
    assert Headers.of([(b"Connection", value) for value in values]).tokens(b"connection") == tokens


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_a_hop_by_hop_field_is_not_passed_on(name: bytes) -> None:
    headers = Headers.of([(b"A", b"1"), (name.title(), b"x"), (b"B", b"2")])
    assert pairs(headers.without_hop_by_hop()) == [(b"A", b"1"), (b"B", b"2")]


def test_what_connection_names_is_not_passed_on() -> None:
    headers = Headers.of(
        [(b"X-A", b"1"), (b"Connection", b"close, x-A"), (b"X-B", b"2"), (b"connection", b"X-C"), (b"x-c", b"3")]
    )
    assert pairs(headers.without_hop_by_hop()) == [(b"X-B", b"2")]
    assert len(headers) == 5


@pytest.mark.parametrize("name", [b"a", b"X-Request-Id", b"!#$%&'*+-.^_`|~09azAZ"])
def test_a_token_is_a_valid_name(name: bytes) -> None:
    assert valid_name(name)


def test_nothing_but_tokens_is_a_name() -> None:
    letters = {octet for octet in range(256) if valid_name(b"x" + bytes([octet]))}
    assert letters == set(b"!#$%&'*+-.^_`|~0123456789" + bytes(range(65, 91)) + bytes(range(97, 123)))
    assert not valid_name(b"")
    assert not valid_name(b"x\n")


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        (b"", True),
        (b"text/event-stream; charset=utf-8", True),
        (b"\x80\xff\t", True),
        (b"a\r\nSet-Cookie: b", False),
        (b"a\rb", False),
        (b"a\n", False),
        (b"\n", False),
        (b"a\0", False),
    ],
)
def test_a_value_cannot_end_its_field(value: bytes, is_valid: bool) -> None:
    assert valid_value(value) == is_valid
