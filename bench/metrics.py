"""The figures of the bench: each one's word in the raw results, its title with its unit, and its digits in a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """``digits`` behind the point; ``more_is_better`` says which way a ratio is good."""

    title: str
    digits: int = 0
    more_is_better: bool = False


METRICS: dict[str, Metric] = {
    "cpu_us_per_event": Metric("CPU µs per event", 2),
    "user_instructions_per_event": Metric("user instructions per event"),
    "latency_p50_us": Metric("latency p50 µs"),
    "latency_p99_us": Metric("latency p99 µs"),
    "latency_p999_us": Metric("latency p99.9 µs"),
    "events_per_s": Metric("events/s", more_is_better=True),
    "busy_percent": Metric("gateway's core busy, %", more_is_better=True),
    "memory_bytes_per_stream": Metric("resident bytes per idle stream"),
    "cpu_us_per_stream_s": Metric("CPU µs per idle stream and second", 3),
    "streams_per_s": Metric("new streams/s", more_is_better=True),
    "cpu_us_per_stream": Metric("CPU µs per new stream", 1),
    "requests_per_s": Metric("requests/s", more_is_better=True),
    "cpu_us_per_request": Metric("CPU µs per request", 1),
    "download_bytes_per_cpu_s": Metric("downloaded bytes per CPU second", more_is_better=True),
    "upload_bytes_per_cpu_s": Metric("uploaded bytes per CPU second", more_is_better=True),
    "worker_start_s": Metric("worker start → first accepted request, s", 3),
    "start_s": Metric("command → first accepted request, s", 3),
    "import_s": Metric("import of what a worker needs, s", 3),
    "idle_memory_bytes": Metric("resident bytes of an idle gateway, all processes"),
    "idle_event_us": Metric("event in → out, idle gateway, µs"),
    "gone_connecting_us": Metric("client gone → upstream told, connecting, µs"),
    "gone_before_first_byte_us": Metric("client gone → upstream told, before the first byte, µs"),
    "gone_between_events_us": Metric("client gone → upstream told, between events, µs"),
    "gone_mid_event_us": Metric("client gone → upstream told, mid-event, µs"),
    "gone_blocked_us": Metric("client gone → upstream told, client blocked, µs"),
    "load_busy_percent": Metric("load's core busy, %"),
    "lag_p99_ms": Metric("the origin's own lag, p99 ms", 1),
    "worst_lag_ms": Metric("the origin's own worst lag, ms", 1),
    "others_percent": Metric("taken by other processes, %"),
}
