from __future__ import annotations

import pytest
from tests.expressions.request_source import Source, make_request
from tests.routing.routes import Entry, route

from headgate.routing.bucket import Bucket, Candidate, NeedsForm, edit_bucket, key_of, pick, rank_of, rest_of
from headgate.routing.prefix_map import Key


def _candidates(*entries: Entry) -> list[Candidate[str]]:
    return [
        Candidate(entry, rest_of(uri), rank_of(entry, uri, sequence))
        for sequence, entry in enumerate(entries)
        for uri in entry.uris
    ]


def _ids(bucket: Bucket[str]) -> list[str]:
    return [candidate.entry.id for candidate in bucket]


@pytest.mark.parametrize(
    ("uri", "key", "rest"),
    [
        (b"/a", Key(b"/a", is_prefix=False), None),
        (b"/a*", Key(b"/a", is_prefix=True), None),
        (b"/a**", Key(b"/a", is_prefix=True), None),
        (b"*", Key(b"", is_prefix=True), None),
        (b"/a/*/b", Key(b"/a/", is_prefix=True), (b"", b"/b")),
        (b"/a/*/b*", Key(b"/a/", is_prefix=True), (b"", b"/b", b"")),
    ],
)
def test_where_a_path_is_filed(uri: bytes, key: Key, rest: tuple[bytes, ...] | None) -> None:
    assert (key_of(uri), rest_of(uri)) == (key, rest)


def test_order_is_priority_then_longer_path_then_age_then_insertion() -> None:
    entries = [
        route("low", "/a/*", priority=-1),
        route("second", "/a/*", created_index=5),
        route("third", "/a/*", created_index=5),
        route("first", "/a/*", created_index=4),
        route("longer", "/a/*/b", created_index=9),
        route("high", "/a/*", priority=1, created_index=9),
    ]
    bucket = edit_bucket((), (), _candidates(*entries))
    assert _ids(bucket) == ["high", "longer", "first", "second", "third", "low"]


def test_an_edit_takes_out_and_puts_in_its_place() -> None:
    first, second, third = (route(name, "/a", created_index=at) for at, name in enumerate("abc"))
    bucket = edit_bucket((), (), _candidates(first, second, third))
    again = route("b2", "/a", created_index=1)
    assert _ids(edit_bucket(bucket, {second}, _candidates(again))) == ["a", "b2", "c"]
    assert _ids(bucket) == ["a", "b", "c"]


def test_the_first_whose_conditions_hold_is_picked() -> None:
    bucket = edit_bucket(
        (),
        (),
        _candidates(
            route("method", "/a*", methods=["POST"]),
            route("rest", "/a*x"),
            route("address", "/a*", remote_addrs=["10.0.0.0/8"]),
            route("vars", "/a*", vars=[["arg_k", "v"]]),
            route("all", "/a*"),
        ),
    )

    def picked(target: bytes, method: bytes = b"GET", remote_addr: str = "127.0.0.1") -> str:
        match = pick(bucket, Source(make_request(target, method=method, remote_addr=remote_addr)), 2)
        assert match is not None
        assert not isinstance(match, NeedsForm)
        return match.id

    assert picked(b"/ab") == "all"
    assert picked(b"/ab", method=b"POST") == "method"
    assert picked(b"/abx") == "rest"
    assert picked(b"/ab", remote_addr="10.2.3.4") == "address"
    assert picked(b"/ab?k=v") == "vars"


def test_nothing_is_picked_when_no_condition_holds() -> None:
    bucket = edit_bucket((), (), _candidates(route("method", "/a", methods=["POST"])))
    assert pick(bucket, Source(), 1) is None
