"""Every metric of the reference page is there, and says what happened: over workers, deaths, reloads and many routes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.client import Client, get, request
from tests.docs.page import names, read_page
from tests.observe.samples import Scrape
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program
from tests.server.dead_ends import closed_port

PATH = "/apisix/prometheus/metrics"
STEPS = [b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"]
ROUTES = 400
ROWS = 256
NODE = "127.0.0.1"


def scrape(program: Program) -> Scrape:
    return Scrape(program.admin("GET", PATH).text)


@contextmanager
def held_streams(program: Program, target: str, count: int) -> Iterator[list[Client]]:
    """Open streams that stay open for the block, and read the three events of each; each on a connection of its own."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(program.port)) for _ in range(count)]
        for client in clients:
            client.get(target)
            assert client.read_head().status == 200
            for event in STEPS:
                assert client.read_event().data == event
        yield clients


def use_all_workers(program: Program, target: str, workers: int) -> int:
    """Request until every worker has answered; give how many requests that took. The kernel deals connections out.

    ``target`` is another one each time.
    """
    seen: set[str] = set()
    for number in range(1, 500):
        get(program.port, f"{target}{number}")
        record = program.wait_record(lambda one, asked=f"{target}{number}": one.get("target") == asked)  # type: ignore[misc]
        seen.add(record["id"].partition("-")[0])
        if len(seen) == workers:
            return number
    raise AssertionError(f"only {seen} have answered")


def test_every_metric_is_there_and_says_what_happened(tmp_path: Path) -> None:
    environ = {"HEADGATE_STREAMS_PROGRESS_S": "1"}
    metrics = ("--metrics", "127.0.0.1:0")
    with Origin() as origin, Program(tmp_path, *metrics, workers=2, environ=environ) as program:
        origin.events("/done", steps=STEPS).confirm_all()
        origin.events("/cut", steps=STEPS, end="fin").confirm_all()
        origin.events("/held", steps=STEPS, end="hold").confirm_all()
        for name in ("done", "cut", "held", "hello"):
            program.route(name, f"/{name}", origin.address)
        requests = use_all_workers(program, "/hello?first=", 2)
        with held_streams(program, "/held", 6):
            program.wait_for(lambda: scrape(program)("headgate_events_total") == 18, "the events of the held streams")
            assert scrape(program)("headgate_streams_open") == 6
            program.wait_record(lambda record: record["event"] == "stream_progress")
        for _ in range(5):
            assert get(program.port, "/done").body == b"".join(STEPS)
        for _ in range(3):
            with Client(program.port) as client:
                client.get("/cut")
                client.read_rest()
        assert request(program.port, b"nonsense\r\n\r\n").status == 400
        assert get(program.port, "/nowhere").status == 404
        ended = requests + 6 + 5 + 3 + 2
        program.wait_for(lambda: scrape(program).total("headgate_exchanges_ended_total") == ended, "all ends")
        seen = scrape(program)
        heads_s = {
            name: sum(
                one["head_s"] for one in program.records if one["event"] == "stream_opened" and one["route"] == name
            )
            for name in ("done", "cut", "held")
        }
        check_streams(seen)
        check_requests(seen, requests, heads_s)
        check_addresses(program)


def check_streams(seen: Scrape) -> None:
    assert set(names(read_page("reference/metrics.md"), "metric")) == {
        *(name for name, kind in seen.families.items() if kind != "counter"),
        *(f"{name}_total" for name, kind in seen.families.items() if kind == "counter"),
    }
    assert (seen("headgate_streams_opened_total"), seen("headgate_streams_open")) == (14, 0)
    endings = {"complete": 5, "client_gone": 6, "upstream_eof": 3}
    for labels, value in seen.all("headgate_streams_ended_total").items():
        assert value == endings.get(dict(labels)["ending"], 0), labels
    assert seen("headgate_events_total") == 14 * 3
    for name in ("open", "first_event", "lifetime"):
        assert seen(f"headgate_stream_{name}_seconds_count") == 14
    assert seen("headgate_stream_event_gap_seconds_count") == 14 * 2
    assert (seen("headgate_stream_lifetime_seconds_sum") or 0) > 1


def check_requests(seen: Scrape, requests: int, heads_s: dict[str, float]) -> None:
    def status(code: str, route: str) -> float | None:
        return seen("apisix_http_status", code=code, route=route, service="", node=NODE if route else "")

    assert [status("200", route) for route in ("hello", "held", "done", "cut")] == [requests, 6, 5, 3]
    assert (status("400", ""), status("404", "")) == (1, 1)
    for route, count in (("held", 6), ("done", 5), ("cut", 3)):
        labels = {"type": "request", "route": route, "service": "", "node": NODE}
        assert seen("apisix_http_latency_count", **labels) == count
        # Lived more than a second, but that is in no latency: the sum is the time to the heads.
        assert seen("apisix_http_latency_sum", **labels) == pytest.approx(1000 * heads_s[route], abs=10 * count)
    sent = len(b"".join(STEPS))
    assert seen("apisix_bandwidth", type="egress", route="held", service="", node=NODE) == 6 * sent
    assert seen("headgate_downstream_sent_bytes_total") == 14 * sent + requests * len(b"hello world\n")


def check_addresses(program: Program) -> None:
    """The metrics address serves the same, and OpenMetrics to who asks for it."""
    port = int(program.ready["metrics"][0].rpartition(":")[2])
    plain = get(port, PATH)
    assert Scrape(plain.body.decode())("headgate_streams_opened_total") == 14
    asked = get(port, PATH, (b"Accept", b"application/openmetrics-text; version=1.0.0"))
    assert (asked.get(b"content-type") or b"").startswith(b"application/openmetrics-text")
    assert Scrape(asked.body.decode(), openmetrics=True)("headgate_streams_opened_total") == 14
    assert get(port, "/metrics").status == 404


def test_what_headgate_says_in_streams_is_counted(tmp_path: Path) -> None:
    guard = {"keepalive_s": 0.2, "refusals": "sse", "peek": {"rules": [{"event": "error", "status": 503}]}}
    plugins = {"plugins": {"stream-guard": guard}}
    with Origin() as origin, closed_port() as nobody, Program(tmp_path) as program:
        origin.events("/held", steps=STEPS, end="hold").confirm_all()
        origin.events("/failing", steps=[b"event: error\ndata: {}\n\n"]).confirm_all()
        program.route("held", "/held", origin.address, **plugins)
        program.route("failing", "/failing", origin.address, **plugins)
        program.route("dead", "/dead", nobody, **plugins)
        with held_streams(program, "/held", 1) as [client]:
            assert client.read_event().data == b":\n\n"
            for target in ("/failing", "/dead"):
                refused = get(program.port, target)
                assert refused.status == 200
                assert b"event: refused\n" in refused.body
            program.wait_for(lambda: (scrape(program)("headgate_keepalives_total") or 0) >= 1, "the keep-alives")
        program.wait_for(lambda: scrape(program)("headgate_streams_open") == 0, "the end of the stream")
        seen = scrape(program)
    assert [seen("headgate_peeks_total", outcome=outcome) for outcome in ("passed", "answered", "timeout")] == [1, 1, 0]
    assert seen("headgate_refusals_as_events_total") == 2
    assert seen("apisix_http_status", code="503", route="failing", service="", node=NODE) == 1
    assert seen("apisix_http_status", code="502", route="dead", service="", node=NODE) == 1
    assert (seen("headgate_streams_opened_total"), seen("headgate_events_total")) == (1, 3)  # refusals are no streams


def test_labels_stay_bounded_with_many_routes(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    with Origin() as origin:
        node = f'{{nodes: {{"{origin.address}": 1}}, type: roundrobin}}'
        lines = [f"  - {{id: r{number}, uri: /r{number}, upstream: {node}}}" for number in range(ROUTES)]
        file.write_text("routes:\n" + "\n".join(lines) + "\n#END\n")
        origin.on("/r*", lambda _, wire: wire.respond(200, b"ok"))
        with Program(tmp_path, "--routes", str(file), workers=1) as program, Client(program.port) as client:
            for number in range(ROUTES):
                client.get(f"/r{number}")
                assert client.read_response().body == b"ok"
            seen = scrape(program)
            assert len(seen.all("apisix_http_status")) == ROWS
            assert seen.total("apisix_http_status", code="200") == ROUTES
            folded = ROUTES - (ROWS - 1)
            assert seen("apisix_http_status", code="200", route="", service="", node="") == folded
            assert seen("headgate_label_sets_folded_total") == folded
            first = {"service": "", "node": NODE, "route": "r0"}
            file.write_text("routes: []\n#END\n")
            program.wait_for(lambda: get(program.port, "/r1").status == 404, "the routes to be gone")
            assert scrape(program)("apisix_http_status", code="200", **first) == 1  # no counter goes back


def test_a_killed_worker_loses_no_count(tmp_path: Path) -> None:
    with Origin() as origin, Program(tmp_path, workers=2) as program:
        origin.events("/held", steps=STEPS, end="hold").confirm_all()
        program.route("held", "/held", origin.address)
        program.route("hello", "/hello", origin.address)
        requests = use_all_workers(program, "/hello?first=", 2)
        with held_streams(program, "/held", 12):
            program.wait_for(lambda: scrape(program)("headgate_events_total") == 36, "the events")
            program.wait_for(
                lambda: scrape(program).total("headgate_exchanges_ended_total") == requests, "the requests' ends"
            )
            before = scrape(program)
            os.kill(program.children("worker")[0], signal.SIGKILL)
            lost = program.wait_log("ended, it is replaced")["streams_lost"]
            after = scrape(program)
            assert after("headgate_streams_open") == 12 - lost
            assert after("headgate_streams_ended_total", ending="gateway_error") == lost
            assert no_counter_went_back(before, after)
            assert after.all("apisix_http_status") == before.all("apisix_http_status")
        program.wait_for(lambda: len(program.children("worker")) == 2, "the new worker")
        more = use_all_workers(program, "/hello?then=", 2)
        program.wait_for(lambda: scrape(program).total("apisix_http_status", route="hello") == requests + more, "both")


def no_counter_went_back(before: Scrape, after: Scrape) -> bool:
    """Look at every sample of a counter or histogram."""
    for family, kind in before.families.items():
        for name in (f"{family}_total", f"{family}_bucket", f"{family}_count", f"{family}_sum"):
            for labels, value in before.all(name).items():
                assert (after(name, **dict(labels)) or 0) >= value, (name, kind, labels)
    return True


def test_a_reload_counts_both_generations(tmp_path: Path) -> None:
    rest = Gate()

    async def half_an_event(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"data: a\n\ndata: ")
        await rest.wait()
        await wire.chunk(b"b\n\n")
        await wire.last_chunk()

    environ = {"HEADGATE_DRAIN_WINDOW_S": "60", "HEADGATE_DRAIN_IDLE_S": "0.1"}
    with Origin() as origin, Program(tmp_path, workers=1, environ=environ) as program:
        origin.on("/events", half_an_event)
        program.route("events", "/events", origin.address)
        with ExitStack() as clients:
            old = clients.enter_context(Client(program.port))
            old.get("/events")
            assert old.read_head().status == 200
            old.read_event()
            program.wait_for(lambda: scrape(program)("headgate_events_total") == 1, "the event")
            before = scrape(program)
            program.process.send_signal(signal.SIGHUP)
            program.wait_log("^reloaded")
            program.wait_for(lambda: scrape(program)("headgate_streams_draining") == 1, "the old worker to drain")
            new = clients.enter_context(Client(program.port))
            new.get("/events")
            assert new.read_head().status == 200
            new.read_event()
            program.wait_for(lambda: scrape(program)("headgate_events_total") == 2, "the other event")
            seen = scrape(program)
            assert (seen("headgate_streams_opened_total"), seen("headgate_streams_open")) == (2, 2)
            assert seen("headgate_streams_draining") == 1
            assert no_counter_went_back(before, seen)
            assert seen.total("apisix_http_status", code="200", route="events") == 2
            rest.open()
            old.read_rest()
            assert new.read_body() == b"data: b\n\n"
            program.wait_for(lambda: scrape(program)("headgate_streams_open") == 0, "the end of both")
            last = scrape(program)
    assert last("headgate_streams_draining") == 0
    assert last("headgate_streams_ended_total", ending="complete") == 1
    assert last("headgate_streams_ended_total", ending="drain") == 1
    assert last("headgate_stream_lifetime_seconds_count") == 2
