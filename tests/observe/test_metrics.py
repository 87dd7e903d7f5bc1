from __future__ import annotations

import asyncio
import socket

import httpx2
from tests.observe.samples import Scrape

from headgate.observe.counters import (
    CLIENT_BLOCKED,
    CONNECTIONS_ACCEPTED,
    CONNECTIONS_OPEN,
    EVENTS,
    HISTOGRAMS,
    REQUESTS,
    SLOTS,
    STREAM_EVENT_GAP,
    STREAM_FIRST_EVENT,
    STREAMS_ENDED,
    Counters,
)
from headgate.observe.histogram import add, observe
from headgate.observe.metrics import PATH, create_metrics_app
from headgate.observe.route_rows import ROWS
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
    scrape = Scrape(response.text)
    assert scrape("headgate_events_total") == 40
    assert scrape("headgate_streams_ended_total", ending="client_gone") == 9
    assert scrape("headgate_streams_ended_total", ending="complete") == 0
    assert scrape("headgate_connections_open") == 2
    assert scrape("apisix_http_requests_total") == 6
    assert scrape("apisix_nginx_http_current_connections", state="active") == 2
    assert scrape("apisix_nginx_http_current_connections", state="accepted") == 4
    assert scrape("apisix_node_info", hostname=socket.gethostname()) == 1


def test_histograms_are_sums_too() -> None:
    one, other = two_workers()
    observe(one.slots, STREAM_FIRST_EVENT, 0.2)
    observe(other.slots, STREAM_FIRST_EVENT, 0.02)
    observe(other.slots, STREAM_FIRST_EVENT, 4000.0)
    add(one.slots, STREAM_EVENT_GAP, [100, *[0] * 13, 1], 700.25)
    scrape = Scrape(get([one, other]).text)
    name = "headgate_stream_first_event_seconds"
    bounds = "0.01", "0.025", "0.1", "0.25", "300.0", "+Inf"
    assert [scrape(f"{name}_bucket", le=le) for le in bounds] == [0, 1, 1, 2, 2, 3]
    assert (scrape(f"{name}_count"), scrape(f"{name}_sum")) == (3, 4000.22)
    name = "headgate_stream_event_gap_seconds"
    assert [scrape(f"{name}_bucket", le=le) for le in ("0.001", "600.0", "+Inf")] == [100, 100, 101]
    assert (scrape(f"{name}_count"), scrape(f"{name}_sum")) == (101, 700.25)
    assert scrape("headgate_stream_lifetime_seconds_count") == 0


def test_seconds_are_shown_as_seconds() -> None:
    one, other = two_workers()
    one.slots[CLIENT_BLOCKED] = 1_500_000
    other.slots[CLIENT_BLOCKED] = 250_000
    assert Scrape(get([one, other]).text)("headgate_stream_client_blocked_seconds_total") == 1.75


def test_rows_of_the_same_labels_are_added_up() -> None:
    one, other = two_workers()
    for counters, route, count in ((one, "r1", 3), (other, "r1", 4), (other, "r2", 5)):
        row = counters.open_rows().find(route, "s", "10.0.0.1")
        counters.slots[row.code(200)] += count
        counters.slots[row.egress] += 10 * count
        row.observe_latency(counters.slots, 0.0305, 0.03)
    scrape = Scrape(get([one, other]).text)
    first, second = ({"route": route, "service": "s", "node": "10.0.0.1"} for route in ("r1", "r2"))
    assert scrape("apisix_http_status", code="200", **first) == 7
    assert scrape("apisix_http_status", code="200", **second) == 5
    assert scrape("apisix_bandwidth", type="egress", **first) == 70
    assert scrape("apisix_bandwidth", type="ingress", **first) is None
    name = "apisix_http_latency"
    bounds = "20.0", "50.0", "+Inf"
    assert [scrape(f"{name}_bucket", type="request", le=le, **first) for le in bounds] == [0, 2, 2]
    assert [scrape(f"{name}_bucket", type="apisix", le=le, **first) for le in ("1.0", "60000.0")] == [2, 2]
    assert scrape(f"{name}_sum", type="request", **first) == 61
    assert scrape(f"{name}_count", type="upstream", **second) == 1


def test_openmetrics_when_asked_for() -> None:
    workers = two_workers()
    row = workers[0].open_rows().find("r", "", "")
    workers[0].slots[row.code(404)] += 1
    row.observe_latency(workers[0].slots, 0.01, 0.01)
    response = get(workers, accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    scrape = Scrape(response.text, openmetrics=True)
    assert scrape("headgate_events_total") == 40
    assert scrape("apisix_http_status", code="404", route="r", service="", node="") == 1
    assert set(scrape.families) == {
        *(f"headgate_{slot.name}" for slot in SLOTS),
        *(f"headgate_{histogram.name}" for histogram in HISTOGRAMS),
        *("apisix_http_status", "apisix_http_latency", "apisix_bandwidth"),
        *("apisix_http_requests", "apisix_nginx_http_current_connections", "apisix_node_info"),
    }


def test_a_scrape_is_bounded_whatever_is_configured() -> None:
    workers = two_workers()
    for counters in workers:
        rows = counters.open_rows()
        for number in range(2000):
            row = rows.find(f"route-{number}", f"service-{number}", f"10.0.0.{number % 256}")
            counters.slots[row.code(200)] += 1
            row.observe_latency(counters.slots, 0.2, 0.1)
    scrape = Scrape(get(workers).text)
    folded = 2 * (2000 - (ROWS - 1))
    assert len(scrape.all("apisix_http_status")) == ROWS
    assert scrape.total("apisix_http_status") == 4000
    assert scrape("apisix_http_status", code="200", route="", service="", node="") == folded
    assert scrape("headgate_label_sets_folded_total") == folded


def test_serves_nothing_else() -> None:
    assert get([], "/metrics").status_code == 404
    assert get([], "/openapi.json").status_code == 404
