"""Prometheus exposition: the numbers of all workers, added up and named.

Beside ``headgate_…`` stand the names that dashboards of APISIX's plugin ``prometheus`` ask for
(:mod:`headgate.observe.request_metrics`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from headgate.observe.counters import HISTOGRAMS, NUMBERS, SLOTS, Counters, Slot
from headgate.observe.histogram import bucket_samples, read
from headgate.observe.request_metrics import collect_node, collect_requests, merge_rows

PATH = "/apisix/prometheus/metrics"
"""APISIX's path (plugin_attr.prometheus.export_uri)."""


class WorkerCollector(Collector):
    """The sums over ``workers``, read at the time of the scrape."""

    def __init__(self, workers: Sequence[Counters]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Give one family for each name in the tables, then APISIX's."""
        read_all = [counters.slots[:NUMBERS].tolist() for counters in self._workers]
        totals = [sum(numbers) for numbers in zip(*read_all, strict=True)] or [0] * NUMBERS
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for slot, total in zip(SLOTS, totals, strict=False):
            family = families.get(slot.name)
            if family is None:
                family = families[slot.name] = _family(slot)
            family.add_metric([value for _, value in slot.labels], total / slot.per_unit)
        yield from families.values()
        for histogram in HISTOGRAMS:
            counts, sum_s = read(totals, histogram)
            shown = HistogramMetricFamily(f"headgate_{histogram.name}", histogram.help)
            shown.add_metric([], bucket_samples(histogram, counts), sum_s)
            yield shown
        yield from collect_requests(merge_rows(self._workers))
        yield from collect_node(totals)


def _family(slot: Slot) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if slot.type == "counter" else GaugeMetricFamily
    return kind(f"headgate_{slot.name}", slot.help, labels=[name for name, _ in slot.labels])


def create_router(workers: Sequence[Counters]) -> APIRouter:
    """Give the router with ``GET /apisix/prometheus/metrics`` (text or OpenMetrics, by Accept)."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(workers))
    router = APIRouter()

    @router.get(PATH, summary="Metrics in the Prometheus exposition format", tags=["metrics"])
    def metrics(request: Request) -> Response:  # in a thread: with many routes it is some tenths of a second of work
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(registry), headers={"content-type": content_type})

    return router


def create_metrics_app(workers: Sequence[Counters]) -> FastAPI:
    """Give the application for the metrics port: the router and nothing else."""
    app = FastAPI(openapi_url=None)
    app.include_router(create_router(workers))
    return app
