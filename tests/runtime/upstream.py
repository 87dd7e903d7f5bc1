"""A real upstream: ``/events…`` is an event stream that goes on until the client leaves, anything else a short text."""

from __future__ import annotations

import http.server
import threading
from types import TracebackType
from typing import Any, Self


class Upstream:
    def __init__(self) -> None:
        self._closing = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.node = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def route(self, uri: str = "/*") -> dict[str, Any]:
        """Give a route to this upstream."""
        return {"uri": uri, "upstream": {"type": "roundrobin", "nodes": {self.node: 1}}}

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        closing = self._closing

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_stream = self.path.startswith("/events")
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream" if is_stream else "text/plain")
                if is_stream:
                    self.end_headers()
                    self._stream()
                else:
                    self.send_header("Content-Length", "5")
                    self.end_headers()
                    self.wfile.write(b"hello")

            def _stream(self) -> None:
                try:
                    while True:
                        self.wfile.write(b"data: x\n\n")
                        if closing.wait(0.05):
                            return
                except OSError:
                    return  # the client left

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        return Handler
