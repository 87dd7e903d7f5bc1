"""A scrape to be asked: ``scrape("headgate_streams_ended_total", ending="drain")``."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from headgate.observe.counters import Counters
from headgate.observe.metrics import WorkerCollector


class Scrape:
    """What ``text`` says. ``families``: the types by the names of the metrics."""

    def __init__(self, text: str, *, openmetrics: bool = False) -> None:
        families: Iterable[Metric] = parse_openmetrics(text) if openmetrics else parse_text(text)  # type: ignore[no-untyped-call]
        self.families: dict[str, str] = {}
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in families:
            self.families[family.name] = family.type
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self._samples, f"twice: {sample}"
                self._samples[key] = sample.value

    def __call__(self, name: str, **labels: str) -> float | None:
        """Give a sample's value, None if it is not there."""
        return self._samples.get((name, frozenset(labels.items())))

    def all(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Give all samples of a name by their labels."""
        return {labels: value for (one, labels), value in self._samples.items() if one == name}

    def total(self, name: str, **labels: str) -> float:
        """Give the sum of all samples of a name that have these labels among theirs."""
        return sum(value for one, value in self.all(name).items() if labels.items() <= set(one))


def scrape_of(*workers: Counters) -> Scrape:
    """Scrape counters without a server."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(workers))
    return Scrape(generate_latest(registry).decode())
