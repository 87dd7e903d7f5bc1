from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from tests.expressions.request_source import Source, make_request
from tests.running_gateway import change, route, upstream

from headgate.config.change import Change
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.errors import GatewayError
from headgate.plugins.api import Plugin, PluginConfig
from headgate.plugins.catalog import Catalog
from headgate.routing.bucket import NeedsForm
from headgate.server.generation import Generation, Trial

EMPTY = Generation.empty(Catalog())


def find(generation: Generation, path: str, host: str = "a.test") -> str | None:
    found = generation.table.match(Source(make_request(path.encode(), authority=host.encode())))
    assert not isinstance(found, NeedsForm)
    return None if found is None else found.id


def service(id_: str, value: Mapping[str, Any] | None) -> Any:
    return change("services", id_, value)


def test_a_generation_is_left_as_it_is_by_the_next_one() -> None:
    first = EMPTY.with_changes([route("1", "/a", "a:1")])
    second = first.with_changes([route("1", "/b", "a:1"), route("2", "/c", "a:1")])
    third = second.with_changes([change("routes", "1", None)])
    assert [find(one, "/a") for one in (EMPTY, first, second, third)] == [None, "1", None, None]
    assert [find(one, "/b") for one in (EMPTY, first, second, third)] == [None, None, "1", None]
    assert [find(one, "/c") for one in (EMPTY, first, second, third)] == [None, None, "2", "2"]


def test_the_last_of_several_changes_of_one_route_counts() -> None:
    changes = [route("1", "/a", "a:1"), route("1", "/b", "a:1"), change("routes", "1", None), route("1", "/c", "a:1")]
    made = EMPTY.with_changes(changes)
    assert [find(made, path) for path in ("/a", "/b", "/c")] == [None, None, "1"]
    assert find(made.with_changes([change("routes", "1", None), change("routes", "1", None)]), "/c") is None


def test_order_between_kinds_does_not_matter() -> None:
    changes = [
        route("1", "/*", service_id="s"),
        service("s", {"hosts": ["a.test"], "upstream_id": "u"}),
        change("upstreams", "u", upstream("a:1")),
    ]
    made = EMPTY.with_changes(changes)
    plan = made.entries["1"].payload.plan(made)
    assert plan.upstream is made.upstreams["u"]
    assert find(made, "/", "b.test") is None


def test_a_services_hosts_move_its_routes() -> None:
    made = EMPTY.with_changes(
        [
            service("s", {"hosts": ["a.test"]}),
            route("own", "/own", "a:1", service_id="s", host="own.test"),
            route("1", "/1", "a:1", service_id="s"),
            route("2", "/2", "a:1", service_id="s"),
            route("free", "/free", "a:1"),
        ]
    )
    moved = made.with_changes([service("s", {"hosts": ["b.test"]}), change("routes", "2", None)])
    assert [find(made, f"/{n}", "a.test") for n in (1, 2)] == ["1", "2"]
    assert [find(moved, f"/{n}", "a.test") for n in (1, 2)] == [None, None]
    assert [find(moved, f"/{n}", "b.test") for n in (1, 2)] == ["1", None]
    assert find(moved, "/own", "own.test") == "own"
    assert find(moved, "/free", "x") == "free"
    gone = moved.with_changes([service("s", None)])
    assert find(gone, "/1", "anything") == "1"
    assert find(gone.with_changes([change("routes", "1", None)]), "/1", "anything") is None


def test_a_route_may_change_its_service() -> None:
    made = EMPTY.with_changes(
        [
            service("a", {"hosts": ["a.test"]}),
            service("b", {"hosts": ["b.test"]}),
            route("1", "/", "a:1", service_id="a"),
        ]
    )
    made = made.with_changes([route("1", "/", "a:1", service_id="b")])
    assert (find(made, "/", "a.test"), find(made, "/", "b.test")) == (None, "1")
    assert made.routes_of_service == {"b": frozenset({"1"})}
    made = made.with_changes([service("a", {"hosts": ["c.test"]})])
    assert (find(made, "/", "c.test"), find(made, "/", "b.test")) == (None, "1")


def test_a_plan_is_made_once_and_again_when_what_it_builds_on_is_another() -> None:
    changes = [
        change("upstreams", "u", upstream("a:1")),
        service("s", {"upstream_id": "u", "plugins": {"proxy-buffering": {}}}),
        route("1", "/", service_id="s"),
    ]
    first = EMPTY.with_changes(changes)
    payload = first.entries["1"].payload
    plan = payload.plan(first)
    assert payload.plan(first) is plan
    other = first.with_changes([route("2", "/2", "a:1"), change("upstreams", "v", upstream("a:1"))])
    assert payload.plan(other) is plan
    moved = other.with_changes([change("upstreams", "u", upstream("b:1"))])
    assert payload.plan(moved).upstream is moved.upstreams["u"]
    renamed = moved.with_changes([service("s", {"upstream_id": "u", "name": "x"})])
    again = payload.plan(renamed)
    assert again is not plan
    assert payload.plan(renamed) is again


@pytest.mark.parametrize(
    ("own", "of_service", "expected"),
    [
        ({"upstream": upstream("own:1")}, {"upstream": upstream("service:1")}, "own:1"),
        ({"upstream_id": "u"}, {"upstream": upstream("service:1")}, "shared:1"),
        ({}, {"upstream": upstream("service:1")}, "service:1"),
        ({}, {"upstream_id": "u"}, "shared:1"),
        ({"plugins": {}}, {}, None),
        ({"upstream_id": "gone"}, {}, None),
    ],
)
def test_the_upstream_of_a_route(own: dict[str, Any], of_service: dict[str, Any], expected: str | None) -> None:
    changes = [
        change("upstreams", "u", upstream("shared:1")),
        service("s", of_service),
        route("1", "/", service_id="s", **own),
    ]
    made = EMPTY.with_changes(changes)
    plan = made.entries["1"].payload.plan(made)
    target = None if plan.upstream is None else plan.upstream.balance.pick()
    assert (None if target is None else target.address) == expected


def test_a_route_whose_service_is_gone_has_no_plan() -> None:
    made = EMPTY.with_changes([route("1", "/", "a:1", service_id="s")])
    with pytest.raises(GatewayError) as raised:
        made.entries["1"].payload.plan(made)
    assert (raised.value.code, raised.value.status) == ("service_missing", 503)


@pytest.mark.parametrize(
    "bad",
    [
        change("routes", "1", {"uri": "/", "vars": [["a", "??", "b"]], "upstream": upstream("a:1")}),
        change("routes", "1", {"uri": "/", "plugins": {"nothing": {}}, "upstream": upstream("a:1")}),
        change("routes", "1", {"uri": "/", "remote_addr": "nowhere", "upstream": upstream("a:1")}),
        change("services", "1", {"plugins": {"cors": {"allow_origins": 1}}}),
        change("upstreams", "1", {"nodes": {"a:1": -1}}),
        change("upstreams", "1", {"nodes": {"a:1": 1}, "scheme": "kafka"}),
        change("global_rules", "1", {"plugins": {"nothing": {}}}),
    ],
)
def test_a_document_that_does_not_compile_is_refused_with_all_that_came_with_it(bad: Any) -> None:
    with pytest.raises(InvalidConfiguration):
        EMPTY.with_changes([route("2", "/2", "a:1"), bad])
    assert EMPTY.entries == {}


def test_global_rules_make_one_chain() -> None:
    one = EMPTY.with_changes([change("global_rules", "1", {"plugins": {"request-id": {}}})])
    two = one.with_changes([change("global_rules", "2", {"plugins": {"cors": {}}})])
    assert one.global_chain is not None
    assert two.global_chain is not None
    assert len(two.global_chain.on_response) > len(one.global_chain.on_response)
    none = two.with_changes([change("global_rules", id_, None) for id_ in ("1", "2")])
    assert none.global_chain is None


def test_a_write_and_a_match_cost_about_the_same_with_ten_routes_and_ten_thousand() -> None:
    writes, matches = {}, {}
    for count in (10, 10_000):
        made = EMPTY.with_changes(
            [change("upstreams", "u", upstream("a:1")), *(route(str(n), f"/r/{n}", "a:1") for n in range(count))]
        )
        again = route("7", "/r/7", "b:1")
        writes[count] = fastest(partial(made.with_changes, [again]))
        source = Source(make_request(b"/r/7", authority=b"a.test"))
        matches[count] = fastest(partial(made.table.match, source))
    assert writes[10_000] < 40 * writes[10]  # a thousand times as many routes: 4 times, of which most is a dict's copy
    assert matches[10_000] < 20 * matches[10]


def fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(30):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def test_a_trial_takes_what_compiles_and_leaves_out_the_rest() -> None:
    trial = Trial(Catalog())
    trial.admit(change("global_rules", "1", {"plugins": {"cors": {}}}))
    with pytest.raises(InvalidConfiguration, match=r"plugin \[cors\] of global rule \[2\] is in another global rule"):
        trial.admit(change("global_rules", "2", {"plugins": {"cors": {}}}))
    trial.admit(change("global_rules", "2", {"plugins": {"request-id": {}}}))


def test_no_plan_is_made_before_one_is_asked_for_and_then_once() -> None:
    made = EMPTY.with_changes([route("1", "/", "a:1", plugins={"sse": {}})])
    payload = made.entries["1"].payload
    assert payload._plan is None
    assert payload.plan(made) is payload.plan(made.with_changes([route("2", "/2", "a:1")]))


class Picky(Plugin):
    """Refuses when it is made what its model lets pass."""

    name = "picky"
    priority = 1
    Config = PluginConfig

    def __init__(self, config: PluginConfig) -> None:
        super().__init__(config)
        raise ValueError("never content")


@pytest.mark.parametrize(
    "bad",
    [
        change("routes", "1", {"uri": "/", "plugins": {"picky": {}}, "upstream": upstream("a:1")}),
        change("services", "1", {"plugins": {"picky": {}}}),
        change("global_rules", "1", {"plugins": {"picky": {}}}),
    ],
)
def test_a_plugin_that_cannot_be_made_is_refused_when_it_is_written(bad: Change) -> None:
    empty = Generation.empty(Catalog([Picky]))
    with pytest.raises(InvalidConfiguration, match="never content"):
        empty.with_changes([bad])
