"""The documents' own command lines, against the running program."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Program


def curl(*arguments: str) -> tuple[int, str]:
    """Run curl as the documents do; give the status and the body."""
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


@contextmanager
def echo_upstream() -> Iterator[int]:
    """Run ``headgate echo`` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "headgate", "echo", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        match = re.search(r"listening on port (\d+)", line)
        assert match is not None, line
        yield int(match[1])
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()


def test_the_sse_plugin_as_its_document_writes_it(tmp_path: Path) -> None:
    with Program(tmp_path) as program:
        status, body = curl(
            f"http://127.0.0.1:{program.admin_port}/apisix/admin/routes/1",
            *("-X", "PUT", "-d"),
            """
            {
              "uri": "/sse",
              "plugins": {
                "sse": {
                  "proxy_read_timeout": 7200,
                  "override_content_type": true,
                  "connection_header": "keep-alive",
                  "cache_control": "no-cache"
                }
              },
              "upstream": {"type": "roundrobin", "nodes": {"httpbin.org:80": 1}}
            }""",
        )
        assert (status, '"key":"/apisix/routes/1"' in body.replace(" ", "")) == (201, True)


def test_the_sse_plugin_with_a_node_that_streams(tmp_path: Path) -> None:
    with Origin() as origin, Program(tmp_path) as program:
        events = origin.events(
            "/sse", steps=[b"data: one\n\n", b"data: two\n\n"], fields=[(b"Content-Type", b"text/plain")]
        )
        program.route("1", "/sse", origin.address, plugins={"sse": {"proxy_read_timeout": 7200}})
        with Client(program.port) as client:
            client.get("/sse")
            head = client.read_head()
            assert head.status == 200
            assert head.get(b"content-type") == b"text/event-stream; charset=utf-8"
            assert head.get(b"x-accel-buffering") == b"no"
            assert head.get(b"connection") == b"keep-alive"
            assert head.get(b"cache-control") == b"no-cache"
            assert client.read_event().data == b"data: one\n\n"

            status, _ = curl(
                f"http://127.0.0.1:{program.admin_port}/apisix/admin/routes/1",
                *("-X", "PATCH", "-d", '{"plugins":{"sse":null}}'),
            )
            assert status == 200
            events.confirm(0)  # the running stream goes on
            assert client.read_event().data == b"data: two\n\n"
            events.confirm(1)
            client.read_body()
        events.confirm_all()
        head = get(program.port, "/sse").head
        assert head.get(b"content-type") == b"text/plain"
        assert b"x-accel-buffering" not in head
        assert b"cache-control" not in head


def test_the_echo_walk_through_event_by_event(tmp_path: Path) -> None:
    legacy = {"HEADGATE_X_FORWARDED_HOST": "legacy"}
    with echo_upstream() as port, Program(tmp_path, environ=legacy) as program:
        status, _ = curl(
            f"http://127.0.0.1:{program.admin_port}/apisix/admin/routes/1",
            *("-X", "PUT", "-d"),
            """{"uri": "/.sse", "plugins": {"proxy-buffering": {"disable_proxy_buffering": true}},
                "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:8080": 1}}}""".replace("8080", str(port)),
        )
        assert status == 201
        with Client(program.port) as client:
            client.send(
                b"GET /.sse HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: curl/8.6.0\r\n" % program.port
                + b"Accept: text/event-stream\r\n\r\n"
            )
            head = client.read_head()
            assert head.status == 200
            assert head.get(b"content-type") == b"text/event-stream"
            assert re.fullmatch(rb"event: server\ndata: \S+\nid: 1\n\n", client.read_event().data)
            assert client.read_event().data == (
                b"event: request\n"
                b"data: GET /.sse HTTP/1.1\n"
                b"data: \n"
                b"data: Host: 127.0.0.1:%(port)d\n"
                b"data: Accept: text/event-stream\n"
                b"data: User-Agent: curl/8.6.0\n"
                b"data: X-Forwarded-For: 127.0.0.1\n"
                b"data: X-Forwarded-Host: 127.0.0.1\n"
                b"data: X-Forwarded-Port: %(port)d\n"
                b"data: X-Forwarded-Proto: http\n"
                b"data: X-Real-Ip: 127.0.0.1\n"
                b"data: \n"
                b"id: 2\n\n"
            ) % {b"port": program.port}
            times = [client.read_event() for _ in range(3)]
            for number, event in enumerate(times, 3):
                assert re.fullmatch(
                    rb"event: time\ndata: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nid: %d\n\n" % number, event.data
                ), event.data
            # One a second, each when it is sent: a gateway that collects them would give them together.
            assert times[2].at - times[0].at > 1.0
