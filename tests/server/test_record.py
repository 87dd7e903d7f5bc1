from __future__ import annotations

import pytest
from tests.client import Client, get, request
from tests.origin import Origin
from tests.running_gateway import RunningGateway, change, route, upstream
from tests.server.dead_ends import closed_port

SECONDS = {"head_s", "duration_s", "first_byte_s", "first_event_s"}


def test_a_stream_has_a_record_when_it_opens_and_one_when_it_ends() -> None:
    with Origin() as origin, RunningGateway([route("r", "/*", origin.address)]) as gateway:
        stream = origin.events("/events", steps=[b": hi\n\n", b"data: a\n\n"])
        with Client(gateway.port) as client:
            client.get("/events?token=secret&x=1", host=b"Exa.mple:81")
            client.read_head()
            opened = gateway.record(event="stream_opened")
            assert gateway.records("stream_ended") == []
            stream.confirm_all()
            client.read_body()
        ended = gateway.record(event="stream_ended")
        assert gateway.records() == [opened, ended]
        both = {
            "id": opened["id"],
            "route": "r",
            "client": "127.0.0.1",
            "method": "GET",
            "host": "Exa.mple:81",
            "target": opened["target"],
            "status": 200,
            "upstream": origin.address,
        }
        assert "secret" not in opened["target"]
        assert opened["target"].startswith("/events?token=")
        assert opened["target"].endswith("&x=1")
        assert without_times(opened) == {"event": "stream_opened", **both}
        assert without_times(ended) == {
            "event": "stream_ended",
            **both,
            "bytes": 15,
            "events": 1,
            "keepalives": 0,
            "ending": "complete",
        }
        assert SECONDS - {"head_s"} <= set(ended)
        assert 0 <= opened["head_s"] <= ended["first_byte_s"] <= ended["first_event_s"] <= ended["duration_s"]


def without_times(record: dict[str, object]) -> dict[str, object]:
    assert str(record["timestamp"]).endswith("Z")
    return {key: value for key, value in record.items() if key not in SECONDS | {"timestamp"}}


def test_a_request_has_one_record() -> None:
    with Origin() as origin, RunningGateway([route("r", "/*", origin.address)]) as gateway:
        get(gateway.port, "/hello")
        record = gateway.record()
        assert gateway.records() == [record]
        assert (record["event"], record["bytes"], record["status"]) == ("request_ended", 12, 200)
        assert "events" not in record


def test_more_names_can_be_masked() -> None:
    with Origin() as origin:
        changes = [route("r", "/*", origin.address)]
        with RunningGateway(changes, mask_query_keys=["Session"]) as gateway:
            get(gateway.port, "/hello?session=hush&a=1")
            assert "hush" not in gateway.record()["target"]
            assert origin.request(0).target == b"/hello?session=hush&a=1"


def test_a_failure_is_told_in_full() -> None:
    with closed_port() as address, RunningGateway([route("r", "/*", address)]) as gateway:
        get(gateway.port, "/")
        record = gateway.record()
        assert (record["error"], record["upstream"], record["status"]) == ("connect_refused", address, 502)
        assert address in record["detail"]


def test_what_is_no_request_has_a_record_too() -> None:
    with RunningGateway() as gateway:
        request(gateway.port, b"nonsense\r\n\r\n")
        record = gateway.record()
        assert record["id"]
        assert without_times(record) == {
            "event": "request_ended",
            "id": record["id"],
            "route": None,
            "client": "127.0.0.1",
            "status": 400,
            "ending": "refused",
            "error": "bad_request",
            "detail": "the request line is malformed",
        }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("route_id", "r"),
        ("service_id", "s"),
        ("uri", "/hello"),
    ],
)
def test_variables_beyond_the_request(variable: str, value: str) -> None:
    plugins = {"proxy-rewrite": {"headers": {"set": {"X-Seen": "$" + variable}}}}
    with Origin() as origin:
        changes = [
            change("services", "s", {"upstream": upstream(origin.address)}),
            route("r", "/*", service_id="s", plugins=plugins),
        ]
        with RunningGateway(changes) as gateway:
            assert get(gateway.port, "/hello").status == 200
        seen = origin.request(0).get(b"x-seen")
        assert seen == value.encode()
