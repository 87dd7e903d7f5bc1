"""APISIX's metrics of requests, by its names, from the rows by route of all workers.

APISIX's counters ``http_status`` and ``bandwidth`` lack the ``_total`` that OpenMetrics wants of a counter; they are
exposed without a type, because the name is what dashboards and alerts ask for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UntypedMetricFamily,
)

from headgate.observe.counters import CONNECTIONS_ACCEPTED, CONNECTIONS_OPEN, REQUESTS, Counters
from headgate.observe.histogram import bucket_samples, read
from headgate.observe.route_rows import Labels, RowNumbers

_LABELS = ("route", "service", "node")


def merge_rows(workers: Iterable[Counters]) -> dict[Labels, RowNumbers]:
    """Add the rows of all workers up, label set by label set."""
    merged: dict[Labels, RowNumbers] = {}
    for counters in workers:
        for labels, numbers in counters.read_rows():
            known = merged.get(labels)
            merged[labels] = numbers if known is None else known.plus(numbers)
    return merged


def collect_requests(rows: dict[Labels, RowNumbers]) -> Iterator[Metric]:
    """Give what is counted by route: statuses, latencies in milliseconds, bytes."""
    status = UntypedMetricFamily("apisix_http_status", "HTTP status codes per route.", labels=["code", *_LABELS])
    latency = HistogramMetricFamily(
        "apisix_http_latency",
        "HTTP request latency in milliseconds; of a stream the time to its head.",
        labels=["type", *_LABELS],
    )
    bandwidth = UntypedMetricFamily("apisix_bandwidth", "Bytes of bodies per route.", labels=["type", *_LABELS])
    for labels, numbers in rows.items():
        for code, count in numbers.codes:
            status.add_metric([code, *labels], count)
        for kind, histogram in numbers.latencies:
            counts, sum_s = read(numbers.values, histogram)
            if counts[-1]:
                latency.add_metric([kind, *labels], bucket_samples(histogram, counts, per_second=1000), sum_s * 1000)
        for direction, count in numbers.bandwidth:
            if count:
                bandwidth.add_metric([direction, *labels], count)
    yield from (status, latency, bandwidth)


def collect_node(totals: Sequence[int]) -> Iterator[Metric]:
    """Give what is counted over all routes."""
    yield CounterMetricFamily("apisix_http_requests", "The total number of client requests.", value=totals[REQUESTS])
    connections = GaugeMetricFamily(
        "apisix_nginx_http_current_connections", "Number of HTTP connections.", labels=["state"]
    )
    connections.add_metric(["accepted"], totals[CONNECTIONS_ACCEPTED])
    connections.add_metric(["active"], totals[CONNECTIONS_OPEN])
    connections.add_metric(["handled"], totals[CONNECTIONS_ACCEPTED])
    yield connections
    node = GaugeMetricFamily("apisix_node_info", "This node.", labels=["hostname"])
    node.add_metric([socket.gethostname()], 1)
    yield node
