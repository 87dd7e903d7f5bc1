from __future__ import annotations

import timeit
from collections.abc import Sequence
from typing import Any

import pytest
from tests.routing.routes import Entry, Table, found, route, table_of

from headgate.routing.bucket import Bucket
from headgate.routing.prefix_map import PrefixMap

ANDROID = ["http_user_agent", "~*", "android"]
NOT_ANDROID = ["http_user_agent", "!", "~*", "android"]


def agent(name: bytes) -> dict[str, Any]:
    return {"headers": [(b"User-Agent", name)]}


@pytest.mark.parametrize(
    ("routes", "target", "host", "expected"),
    [
        pytest.param([route("r", "/hello", hosts=["foo.com"])], "/not_found", "foo.com", None, id="other path"),
        pytest.param([route("r", "/hello", hosts=["foo.com"])], "/hello", "", None, id="no host"),
        pytest.param([route("r", "/hello", hosts=["foo.com"])], "/hello", "not_found.com", None, id="other host"),
        pytest.param([route("r", "/hello", hosts=["foo.com"])], "/hello", "foo.com", "r", id="host"),
        pytest.param([route("r", "/hello", hosts=["foo.com"])], "/hello", "foo.com:9080", "r", id="host with port"),
        pytest.param([route("r", "/hello", hosts=["foo.com"])], "/hello", "a.foo.com", None, id="host below"),
        pytest.param([route("r", "/", hosts=["*.foo.com"])], "/", "www.foo.com", "r", id="wildcard"),
        pytest.param([route("r", "/", hosts=["*.foo.com"])], "/", "a.b.foo.com", "r", id="wildcard, two labels"),
        pytest.param([route("r", "/", hosts=["*.foo.com"])], "/", ".foo.com", "r", id="wildcard, empty label"),
        pytest.param([route("r", "/", hosts=["*.foo.com"])], "/", "foo.com", None, id="wildcard is not the domain"),
        pytest.param([route("r", "/", hosts=["*.foo.com"])], "/", "xfoo.com", None, id="wildcard keeps the dot"),
        pytest.param([route("r", "/", hosts=["*.foo.com"])], "/", "", None, id="wildcard, no host"),
        pytest.param([route("r", "/", hosts=["*"])], "/", "any.example", "r", id="any host"),
        pytest.param([route("r", "/", hosts=["*"])], "/", "", "r", id="any host, none sent"),
        pytest.param([route("r", "/", hosts=["test.com"])], "/", "tEst.com", "r", id="host sent in other case"),
        pytest.param([route("r", "/", hosts=["test.coM"])], "/", "test.com", "r", id="host written in other case"),
        pytest.param([route("r", "/", hosts=["[::1]"])], "/", "[::1]:80", "r", id="address"),
    ],
)
def test_hosts(routes: list[Entry], target: str, host: str, expected: str | None) -> None:
    assert found(table_of(*routes), target, host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("foo.com", "1"), ("www.bar.com", "1"), ("not_found.com", None), ("bar.com", None)],
)
def test_one_route_may_have_several_hosts(host: str, expected: str | None) -> None:
    assert found(table_of(route("1", "/hello", hosts=["foo.com", "*.bar.com"])), "/hello", host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.b.example", "exact"),
        ("x.a.b.example", "long"),
        ("x.b.example", "short"),
        ("x.example", "any"),
        ("", "any"),
    ],
)
def test_the_more_specific_host_goes_first(host: str, expected: str) -> None:
    table = table_of(
        route("none", "/", priority=9),
        route("any", "/", hosts=["*"], priority=8),
        route("short", "/", hosts=["*.b.example"], priority=7),
        route("long", "/", hosts=["*.a.b.example"], priority=6),
        route("exact", "/", hosts=["a.b.example"]),
    )
    assert found(table, "/", host) == expected


def test_routes_without_hosts_come_last() -> None:
    table = table_of(route("1980", "/server_port"), route("1981", "/server_port", hosts=["test.com"]))
    assert found(table, "/server_port", "test.com") == "1981"
    assert found(table, "/server_port", "other.com") == "1980"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/server_port", "1980"),
        ("/server_port/route2", "1981"),
        ("/server_port/hello", "1982"),
        ("/server_port/", "1981"),
        ("/server_port/a/b", "1981"),
        ("/server_por", None),
    ],
)
def test_exact_path_then_longest_beginning(target: str, expected: str | None) -> None:
    table = table_of(
        route("1981", "/server_port/*", priority=9), route("1980", "/server_port"), route("1982", "/server_port/hello")
    )
    assert found(table, target) == expected


@pytest.mark.parametrize(
    ("uri", "target", "hit"),
    [
        ("/hello", "/hello", True),
        ("/hello", "/hello/", False),
        ("/hello", "/hello?a=1", True),
        ("/hello", "/HELLO", False),
        ("/foo*", "/foo", True),
        ("/foo*", "/foobar/baz", True),
        ("/foo/*", "/foo", False),
        ("/*", "/", True),
        ("*", "/anything", True),
        ("/a/*/b", "/a/x/b", True),
        ("/a/*/b", "/a/x/y/b", True),
        ("/a/*/b", "/a/x/c", False),
        ("/a/*/b", "/a/b", False),
        ("/user/:id", "/user/:id", True),
        ("/user/:id", "/user/7", False),
        ("/a b", "/a%20b", True),
        ("/b", "/a/../b", True),
        ("/a/b", "/a//b", True),
        ("/é", "/%C3%A9", True),
    ],
)
def test_paths(uri: str, target: str, *, hit: bool) -> None:
    assert found(table_of(route("r", uri)), target) == ("r" if hit else None)


@pytest.mark.parametrize(("second", "expected"), [(1, "1980"), (3, "1981")])
def test_same_path_goes_by_priority(second: int, expected: str) -> None:
    table = table_of(route("1980", "/server_port*", priority=2), route("1981", "/server_port*", priority=second))
    assert found(table, "/server_port/aa") == expected


def test_same_path_and_priority_goes_to_the_older() -> None:
    old, new = route("old", "/a", created_index=3), route("new", "/a", created_index=4)
    assert found(table_of(new, old), "/a") == "old"
    assert found(table_of(route("first", "/a"), route("second", "/a")), "/a") == "first"


@pytest.mark.parametrize(
    ("methods", "method", "hit"),
    [(["GET"], b"PURGE", False), (["GET", "PURGE"], b"PURGE", True), (None, b"BREW", True), (["GET"], b"get", False)],
)
def test_methods(methods: Sequence[str] | None, method: bytes, *, hit: bool) -> None:
    assert found(table_of(route("r", "/hello", methods=methods)), "/hello", method=method) == ("r" if hit else None)


@pytest.mark.parametrize(
    ("rule", "name", "hit"),
    [
        (ANDROID, b"ios", False),
        (ANDROID, b"android", True),
        (ANDROID, b"Android", True),
        (NOT_ANDROID, b"ios", True),
        (NOT_ANDROID, b"android", False),
        (NOT_ANDROID, b"Android", False),
    ],
)
def test_vars(rule: list[str], name: bytes, *, hit: bool) -> None:
    assert found(table_of(route("r", "/hello", vars=[rule])), "/hello", **agent(name)) == ("r" if hit else None)


@pytest.mark.parametrize(("target", "expected"), [("/hello?k=not-hit", None), ("/hello?k=v", "r"), ("/hello", None)])
def test_vars_of_the_query(target: str, expected: str | None) -> None:
    assert found(table_of(route("r", "/hello", vars=[["arg_k", "==", "v"]])), target) == expected


def test_client_addresses() -> None:
    table = table_of(route("r", "/", remote_addrs=["127.0.0.0/24"]))
    assert found(table) == "r"
    assert found(table, remote_addr="192.0.2.1") is None


def test_a_route_that_fails_leaves_the_turn_down_to_the_hostless() -> None:
    never = [["arg_never", "1"]]
    routes = [
        route("anywhere", "/*"),
        route("any host", "/*", hosts=["*"], vars=never),
        route("wildcard", "/a/*", hosts=["*.example"], vars=never),
        route("prefix", "/*", hosts=["x.example"], vars=never),
        route("long prefix", "/a/*", hosts=["x.example"], vars=never),
        route("low", "/a/b", hosts=["x.example"], vars=never),
        route("high", "/a/b", hosts=["x.example"], priority=1, vars=never),
    ]
    assert found(table_of(*routes), "/a/b", "x.example") == "anywhere"
    assert found(table_of(*routes[1:]), "/a/b", "x.example") is None


FORM_ROUTE = route("form", "/a", vars=[["post_arg.name", "Ada"]], methods=["POST"], priority=1)


def test_the_form_is_asked_for_only_when_its_route_has_its_turn() -> None:
    table = table_of(FORM_ROUTE, route("plain", "/a"))
    assert found(table, "/a", method=b"POST") == "form"
    assert found(table, "/a") == "plain"
    assert found(table_of(FORM_ROUTE, route("before", "/a", priority=2)), "/a", method=b"POST") == "before"


@pytest.mark.parametrize(
    ("form", "expected"), [({b"name": b"Ada"}, "form"), ({b"name": b"Bob"}, "plain"), ({}, "plain")]
)
def test_with_the_form_the_match_is_decided(form: dict[bytes, bytes], expected: str) -> None:
    table = table_of(route("form", "/a", vars=[["post_arg.name", "Ada"]], priority=1), route("plain", "/a"))
    assert found(table, "/a", method=b"POST", form=form) == expected


def test_disabled_routes_are_not_there_and_can_be_taken_out() -> None:
    disabled = route("off", "/a", enabled=False)
    table = table_of(disabled)
    assert found(table, "/a") is None
    assert not table.edited([disabled], []).anywhere


def test_an_edit_replaces_and_leaves_the_table_it_was_made_from() -> None:
    before = route("1", "/a", "/b*", hosts=["x.example", "*.y.example"])
    after = route("1", "/b*", "/c", hosts=["x.example"])
    old = table_of(before, route("2", "/a"))
    new = old.edited([before], [after])
    requests = [("/a", "x.example"), ("/b1", "x.example"), ("/c", "x.example"), ("/b1", "z.y.example"), ("/a", "")]
    assert [found(old, *request) for request in requests] == ["1", "1", None, "1", "2"]
    assert [found(new, *request) for request in requests] == ["2", "1", "1", None, "2"]


def test_a_table_whose_routes_are_all_taken_out_holds_nothing() -> None:
    routes = [route("1", "/a", "/b*", hosts=["x.example", "*"]), route("2", "/a/*/b", "/c")]
    empty = table_of(*routes).edited(routes, [])
    assert not empty.hosts
    assert not empty.anywhere


def test_taking_out_one_of_two_equal_routes_leaves_the_other() -> None:
    one, other = route("1", "/a"), route("2", "/a")
    assert found(table_of(one, other).edited([one], []), "/a") == "2"


def _many(count: int) -> list[Entry]:
    hostless = [route(str(number), f"/path/{number}", f"/prefix/{number}/*") for number in range(count // 2)]
    hosted = [route(f"h{number}", "/", "/a*", hosts=[f"host{number}.example"]) for number in range(count // 2)]
    return hostless + hosted


def _shared(old: PrefixMap[Any], new: PrefixMap[Any]) -> int:
    pairs = ((old.exact, new.exact), (old.prefixes, new.prefixes))
    return sum(before[text] is after.get(text) for before, after in pairs for text in before)


def test_an_edit_shares_every_bucket_that_it_does_not_touch() -> None:
    routes = _many(200)
    old = table_of(*routes)
    hosted = old.edited([routes[150]], [route("h50", "/", hosts=["host50.example"])])
    assert hosted.anywhere is old.anywhere
    assert _shared(old.hosts, hosted.hosts) == 99
    hostless = old.edited([routes[7]], [route("7", "/path/7")])
    assert hostless.hosts is old.hosts
    assert _shared(old.anywhere, hostless.anywhere) == 198


def _buckets(paths: PrefixMap[Bucket[str]]) -> list[int]:
    return [len(bucket) for bucket in (*paths.exact.values(), *paths.prefixes.values())]


def test_an_edit_adds_no_second_copy() -> None:
    routes = _many(20)
    table: Table = table_of(*routes)
    for _ in range(3):
        table = table.edited(routes[:1], routes[:1])
    assert set(_buckets(table.anywhere)) == {1}


def _edit_time_s(count: int) -> float:
    routes = _many(count)
    table = table_of(*routes)
    return min(timeit.repeat(lambda: table.edited(routes[:1], routes[:1]), number=5, repeat=5)) / 5


def _match_time_s(count: int) -> float:
    table = table_of(*_many(count))
    return min(timeit.repeat(lambda: found(table, "/prefix/1/x", "host2.example"), number=20, repeat=5)) / 20


def test_cost_does_not_grow_with_the_number_of_routes() -> None:
    # A thousand times the routes: growth with their number would show as a factor of a thousand.
    assert _edit_time_s(10_000) < 100 * _edit_time_s(10)
    assert _match_time_s(10_000) < 10 * _match_time_s(10)
