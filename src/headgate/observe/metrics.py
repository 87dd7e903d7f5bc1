"""Prometheus exposition: the slots of all workers, added up and named.

Beside ``headgate_…`` stand the two APISIX names that dashboards of its plugin ``prometheus`` start from:
``apisix_http_requests_total`` and ``apisix_nginx_http_current_connections``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from headgate.observe.counters import CONNECTIONS_ACCEPTED, CONNECTIONS_OPEN, REQUESTS, SLOTS, Counters, Slot

PATH = "/apisix/prometheus/metrics"
"""APISIX's path (plugin_attr.prometheus.export_uri)."""


class WorkerCollector(Collector):
    """The sum of each slot over ``workers``, read at the time of the scrape."""

    def __init__(self, workers: Sequence[Counters]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Give one family for each name in the slot table, then APISIX's."""
        totals = [sum(counters.slots[number] for counters in self._workers) for number in range(len(SLOTS))]
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for slot, total in zip(SLOTS, totals, strict=True):
            family = families.get(slot.name)
            if family is None:
                family = families[slot.name] = _family(slot)
            family.add_metric([value for _, value in slot.labels], total)
        yield from families.values()
        yield from _apisix(totals)


def _family(slot: Slot) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if slot.type == "counter" else GaugeMetricFamily
    return kind(f"headgate_{slot.name}", slot.help, labels=[name for name, _ in slot.labels])


def _apisix(totals: Sequence[int]) -> Iterator[Metric]:
    yield CounterMetricFamily("apisix_http_requests", "The total number of client requests.", value=totals[REQUESTS])
    connections = GaugeMetricFamily(
        "apisix_nginx_http_current_connections", "Number of HTTP connections.", labels=["state"]
    )
    connections.add_metric(["accepted"], totals[CONNECTIONS_ACCEPTED])
    connections.add_metric(["active"], totals[CONNECTIONS_OPEN])
    connections.add_metric(["handled"], totals[CONNECTIONS_ACCEPTED])
    yield connections


def create_router(workers: Sequence[Counters]) -> APIRouter:
    """Give the router with ``GET /apisix/prometheus/metrics`` (text or OpenMetrics, by Accept)."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(workers))
    router = APIRouter()

    @router.get(PATH, summary="Metrics in the Prometheus exposition format", tags=["metrics"])
    async def metrics(request: Request) -> Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(registry), headers={"content-type": content_type})

    return router


def create_metrics_app(workers: Sequence[Counters]) -> FastAPI:
    """Give the application for the metrics port: the router and nothing else."""
    app = FastAPI(openapi_url=None)
    app.include_router(create_router(workers))
    return app
