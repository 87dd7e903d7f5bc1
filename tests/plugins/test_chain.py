from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from tests.plugins.plain_exchange import exchange
from tests.plugins.probe import PHASES, LowProbe, Probe, run_all

from headgate.plugins.api import Answer, Chain, Exchange, Plugin, PluginConfig
from headgate.plugins.catalog import Catalog

CATALOG = Catalog([Probe, LowProbe])


def ran(chain: Chain, target: bytes = b"/") -> list[tuple[str, str]]:
    given = exchange(target)
    run_all(chain, given)
    notes: list[tuple[str, str]] = given.state.get("ran", [])
    return notes


@pytest.mark.parametrize(
    ("probe_meta", "low_meta", "order"),
    [
        ({}, {}, ["probe", "low-probe"]),
        ({"priority": 1}, {}, ["low-probe", "probe"]),
        ({}, {"priority": 100}, ["low-probe", "probe"]),
        ({"disable": True}, {}, ["low-probe"]),
        ({"disable": False}, {"disable": True}, ["probe"]),
    ],
)
def test_order_in_every_phase(probe_meta: dict[str, Any], low_meta: dict[str, Any], order: list[str]) -> None:
    chain = CATALOG.compile({"low-probe": {"_meta": low_meta}, "probe": {"_meta": probe_meta}})
    assert ran(chain) == [(name, phase) for phase in PHASES for name in order]


def test_plugins_of_equal_priority_stay_as_they_are_written() -> None:
    conf = {"_meta": {"priority": 7}}
    assert [name for name, _ in ran(CATALOG.compile({"low-probe": conf, "probe": conf}))][:2] == ["low-probe", "probe"]


def test_without_meta_the_methods_are_the_plugins_own() -> None:
    (method,) = CATALOG.compile({"probe": {}}).on_chunk
    assert getattr(method, "__func__", None) is Probe.on_chunk


class OnlyEnd(Plugin):
    name = "only-end"
    priority = 1
    Config = PluginConfig

    def on_end(self, exchange: Exchange) -> None:
        exchange.state["ended"] = True


def test_a_phase_that_a_plugin_does_not_have_costs_nothing() -> None:
    chain = Catalog([OnlyEnd]).compile({"only-end": {"_meta": {"filter": [["arg_on", "1"]]}}})
    assert [len(getattr(chain, phase)) for phase in PHASES] == [0, 0, 0, 0, 0, 0, 1]


FILTERED = {"_meta": {"filter": [["arg_on", "1"]]}}


def test_a_filter_that_holds_lets_every_phase_run() -> None:
    chain = CATALOG.compile({"probe": FILTERED})
    assert ran(chain, b"/?on=1") == [("probe", phase) for phase in PHASES]
    assert run_all(chain, exchange(b"/?on=1")) == (b"A", b"DATA: A\n\n")


def test_a_filter_that_fails_keeps_every_phase_out() -> None:
    chain = CATALOG.compile({"probe": FILTERED})
    given = exchange(b"/?on=2")
    assert run_all(chain, given) == (b"a", b"data: a\n\n")
    assert "ran" not in given.state
    assert len(given.upstream_request.headers) == 0


def test_a_filter_is_decided_once_for_an_exchange_and_each_plugin() -> None:
    other = {"_meta": {"filter": [["arg_on", "2"]]}}
    chain = CATALOG.compile({"probe": FILTERED, "low-probe": other})
    given = exchange(b"/?on=1")
    run_all(chain, given)
    given.request.query = b"on=2"
    run_all(chain, given)
    assert {name for name, _ in given.state["ran"]} == {"probe"}
    assert ran(chain, b"/?on=2") == [("low-probe", phase) for phase in PHASES]


def answered(conf: dict[str, Any]) -> Answer | None:
    (method,) = CATALOG.compile({"probe": conf}).on_request

    async def wait() -> Answer | None:
        result = method(exchange())
        return await result if isinstance(result, Awaitable) else result

    return asyncio.run(wait())


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(
    ("error_response", "body", "content_type"),
    [
        ("sorry", b"sorry", b"text/plain; charset=utf-8"),
        ({"code": 7, "text": "é"}, {"code": 7, "text": "é"}, b"application/json"),
    ],
)
def test_error_response_replaces_the_body(error_response: Any, body: Any, content_type: bytes, *, slow: bool) -> None:
    answer = answered({"status": 401, "slow": slow, "_meta": {"error_response": error_response}})
    assert answer is not None
    assert (json.loads(answer.body) if isinstance(body, dict) else answer.body) == body
    assert (answer.status, answer.headers) == (401, ((b"X-Own", b"1"), (b"Content-Type", content_type)))


@pytest.mark.parametrize("slow", [False, True])
def test_error_response_leaves_other_answers(*, slow: bool) -> None:
    answer = answered({"status": 200, "slow": slow, "_meta": {"error_response": "sorry"}})
    assert answer is not None
    assert answer.body == b"own"
    assert answered({"slow": slow, "_meta": {"error_response": "sorry"}}) is None


def test_error_response_under_a_filter() -> None:
    meta = {"filter": [["arg_on", "1"]], "error_response": "sorry"}
    (method,) = CATALOG.compile({"probe": {"status": 403, "_meta": meta}}).on_request
    answer = method(exchange(b"/?on=1"))
    assert isinstance(answer, Answer)
    assert answer.body == b"sorry"
    assert method(exchange(b"/")) is None
