"""What the demo shows: the lines to try, then one line for each event, opening and ending of a stream."""

from __future__ import annotations

from typing import TextIO

_DIM, _GREEN, _CYAN, _YELLOW, _RESET = "\x1b[2m", "\x1b[32m", "\x1b[36m", "\x1b[33m", "\x1b[0m"


class Screen:
    """Writes to ``out``, in colour if that is a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colours = out.isatty()

    def welcome(self, *, echo: int, proxy: int, admin: int) -> None:
        """Say what runs where, and what to try."""
        self._line(f"""
headgate is running: proxy 127.0.0.1:{proxy}, Admin API 127.0.0.1:{admin}, upstream 127.0.0.1:{echo}

Try in another terminal:

  curl -N http://127.0.0.1:{proxy}/.sse -H 'Accept: text/event-stream'      # an event each second, as it is sent
  curl http://127.0.0.1:{proxy}/hello                                       # any other request is proxied too
  curl http://127.0.0.1:{admin}/apisix/admin/routes/demo                    # the route, as it was written
  curl http://127.0.0.1:{admin}/apisix/admin/routes/demo -X PATCH -d '{{"plugins":{{"sse":{{}}}}}}'
  curl http://127.0.0.1:{admin}/apisix/prometheus/metrics                   # the numbers

What passes is shown here until Ctrl-C.
""")

    def show(self, record: dict[str, object]) -> None:
        """Show one record of the access log."""
        stream = str(record.get("id", "")).rpartition("-")[2]
        match record.get("event"):
            case "stream_opened":
                what = f"{record['method']} {record['target']} -> {record['upstream']} {record['status']}"
                self._line(f"stream {stream} opens  {what}", _GREEN)
            case "event":
                self._line(f"stream {stream} {_describe(record)}", _CYAN)
            case "stream_ended":
                what = f"{record['ending']}: {record.get('events', 0)} events, {record['bytes']} bytes"
                self._line(f"stream {stream} ended  {what}, {_seconds(record['duration_s'])}", _YELLOW)
            case "request_ended":
                what = f"{record.get('method', '?')} {record.get('target', '?')} {record['status']}"
                self._line(f"request {what} {record['ending']}", _DIM)

    def _line(self, text: str, colour: str = "") -> None:
        self._out.write(f"{colour}{text}{_RESET}\n" if self._colours and colour else f"{text}\n")
        self._out.flush()


def _describe(record: dict[str, object]) -> str:
    data = str(record.get("event_data", "")).splitlines() or [""]
    more = " …" if len(data) > 1 else ""
    gap = record.get("since_previous_s")
    waited = "" if gap is None else f"  +{_seconds(gap)}"
    return f"event  id {record.get('event_id') or '-'}  {record.get('event_type')}  {data[0]}{more}{waited}"


def _seconds(value: object) -> str:
    return f"{value:.3f} s" if isinstance(value, float) else f"{value} s"
