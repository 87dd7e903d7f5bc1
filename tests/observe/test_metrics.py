from __future__ import annotations

import asyncio

import httpx2
from prometheus_client.parser import text_string_to_metric_families as parse_text

from headgate.observe.counters import CONNECTIONS_ACCEPTED, CONNECTIONS_OPEN, EVENTS, REQUESTS, STREAMS_ENDED, Counters
from headgate.observe.metrics import PATH, create_metrics_app
from headgate.stream.ending import Ending


def get(workers: list[Counters], path: str = PATH, **headers: str) -> httpx2.Response:
    async def request() -> httpx2.Response:
        transport = httpx2.ASGITransport(create_metrics_app(workers))
        async with httpx2.AsyncClient(transport=transport, base_url="http://metrics") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(request())


def two_workers() -> list[Counters]:
    workers = [Counters.private(), Counters.private()]
    for counters in workers:
        counters.slots[EVENTS] = 20
        counters.slots[REQUESTS] = 3
        counters.slots[CONNECTIONS_ACCEPTED] = 2
        counters.slots[CONNECTIONS_OPEN] = 1
    workers[1].slots[STREAMS_ENDED[Ending.CLIENT_GONE]] = 9
    return workers


def test_sums_the_workers_under_headgate_and_apisix_names() -> None:
    response = get(two_workers())
    assert response.headers["content-type"].startswith("text/plain; version=")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_text(response.text)
        for sample in family.samples
    }
    assert samples["headgate_events_total",] == 40
    assert samples["headgate_streams_ended_total", "client_gone"] == 9
    assert samples["headgate_streams_ended_total", "complete"] == 0
    assert samples["headgate_connections_open",] == 2
    assert samples["apisix_http_requests_total",] == 6
    assert samples["apisix_nginx_http_current_connections", "active"] == 2
    assert samples["apisix_nginx_http_current_connections", "accepted"] == 4


def test_openmetrics_when_asked_for() -> None:
    response = get(two_workers(), accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert "headgate_events_total 40.0" in response.text


def test_serves_nothing_else() -> None:
    assert get([], "/metrics").status_code == 404
    assert get([], "/openapi.json").status_code == 404
