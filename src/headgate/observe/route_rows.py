"""Numbers by route: a fixed number of rows of slots, each with its labels beside it in the same memory.

Invariants: memory and scrape are bounded whatever is configured; a row, once taken, keeps its labels for as long as the
memory lives, so that no count goes back when a route is deleted, a worker replaced or headgate reloaded. The first row has
empty labels: it counts what no route took, and every label set that comes when all rows are taken.

A label set is (route, service, node) while fewer than half the rows are taken, and (route, service) from then on: nodes
that come and go must not use up the rows of routes to come. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from headgate.observe.histogram import Histogram, observe

ROWS: Final = 256
NODE_ROWS: Final = ROWS // 2
"""Rows up to which a node has one of its own."""
MAX_KNOWN: Final = 4096
"""So many label sets a worker remembers; beyond, only those that have a row. The rest is looked up anew each time."""

CODES: Final = (
    *(101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308),
    *(400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413, 414, 415, 422, 426, 429, 431, 499),
    *(500, 501, 502, 503, 504),
)
"""Statuses with a count of their own; 499 is no status: the client left before there was one (as NGINX says it)."""
CODE_LABELS: Final = (*map(str, CODES), *(f"{digit}xx" for digit in range(1, 6)))
"""A row's counts of statuses in order; the last five take all others of their class."""
_COLUMNS: Final = tuple(
    CODES.index(status) if status in CODES else len(CODES) + status // 100 - 1 for status in range(100, 600)
)

LATENCY_BOUNDS: Final = tuple(
    ms / 1000 for ms in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000)
)
"""APISIX's buckets of ``apisix_http_latency``, in seconds."""

_LABEL_SLOTS = 32
_LABEL_BYTES = _LABEL_SLOTS * 8
_REQUEST = Histogram("http_latency", "", LATENCY_BOUNDS, _LABEL_SLOTS + len(CODE_LABELS))
_UPSTREAM = replace(_REQUEST, first=_REQUEST.end)
_APISIX = replace(_REQUEST, first=_UPSTREAM.end)
_INGRESS = _APISIX.end
_EGRESS = _INGRESS + 1
ROW_SLOTS: Final = _EGRESS + 1
SLOTS_NEEDED: Final = 1 + ROWS * ROW_SLOTS
"""One for how many rows are taken beside the first, then the rows."""

LAYOUT: Final = (ROWS, ROW_SLOTS, CODE_LABELS, LATENCY_BOUNDS)
"""What a reader and a writer of the same memory must have in common."""

Labels = tuple[str, str, str]
"""Route, service, node; each may be empty."""


class Row:
    """The slots of one label set. ``request``, ``upstream`` and ``apisix`` are the latencies of these names."""

    __slots__ = ("_codes", "apisix", "egress", "ingress", "request", "upstream")

    def __init__(self, start: int) -> None:
        self._codes = start + _LABEL_SLOTS
        self.request = replace(_REQUEST, first=start + _REQUEST.first)
        self.upstream = replace(_UPSTREAM, first=start + _UPSTREAM.first)
        self.apisix = replace(_APISIX, first=start + _APISIX.first)
        self.ingress = start + _INGRESS
        self.egress = start + _EGRESS

    def code(self, status: int) -> int:
        """Give the slot of a status."""
        return self._codes + _COLUMNS[min(max(status, 100), 599) - 100]

    def observe_latency(self, slots: memoryview, request_s: float, upstream_s: float | None) -> None:
        """Count how long a request took, and which part of that was the upstream's (None: it saw none)."""
        observe(slots, self.request, request_s)
        if upstream_s is None:
            observe(slots, self.apisix, request_s)
        else:
            observe(slots, self.upstream, upstream_s)
            observe(slots, self.apisix, request_s - upstream_s)


class RouteRows:
    """The rows as the worker writes them: ``slots`` from ``start`` on; ``folded``: the slot that counts folded label sets.

    What another worker has left in the memory is gone on with.
    """

    __slots__ = ("_folded", "_known", "_rest", "_slots", "_start")

    def __init__(self, slots: memoryview, start: int, *, folded: int) -> None:
        self._slots = slots
        self._start = start
        self._folded = folded
        self._rest = Row(start + 1)
        self._known: dict[Labels, Row] = {("", "", ""): self._rest}
        for number in range(1, slots[start] + 1):
            self._known[_read_labels(slots, self._place(number))] = Row(self._place(number))

    def find(self, route: str, service: str, node: str) -> Row:
        """Give the row that counts for a label set."""
        return self._known.get((route, service, node)) or self._place_set(route, service, node)

    def _place_set(self, route: str, service: str, node: str) -> Row:
        labels = route, service, node
        taken = self._slots[self._start] + 1
        if taken < (NODE_ROWS if node else ROWS):
            row = self._known[labels] = self._take(taken, labels)
            return row
        row = self.find(route, service, "") if node else self._rest
        if len(self._known) < MAX_KNOWN:
            self._known[labels] = row
            if not node:
                self._slots[self._folded] += 1
        return row

    def _take(self, number: int, labels: Labels) -> Row:
        place = self._place(number)
        text = "\0".join(labels).encode()[:_LABEL_BYTES]
        self._slots[place : place + _LABEL_SLOTS] = memoryview(text.ljust(_LABEL_BYTES, b"\0")).cast("Q")
        self._slots[self._start] = number  # only now does a reader see it
        return Row(place)

    def _place(self, number: int) -> int:
        return self._start + 1 + number * ROW_SLOTS


class RowNumbers:
    """One row's numbers as a reader has them, perhaps added up over several workers."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[int]) -> None:
        self.values = values

    def plus(self, other: RowNumbers) -> RowNumbers:
        """Give the sum."""
        return RowNumbers([one + two for one, two in zip(self.values, other.values, strict=True)])

    @property
    def codes(self) -> list[tuple[str, int]]:
        """The statuses that were seen, and how often."""
        counts = self.values[_LABEL_SLOTS : _LABEL_SLOTS + len(CODE_LABELS)]
        return [(label, count) for label, count in zip(CODE_LABELS, counts, strict=True) if count]

    @property
    def latencies(self) -> tuple[tuple[str, Histogram], ...]:
        """The three latencies, to be read from ``values``."""
        return ("request", _REQUEST), ("upstream", _UPSTREAM), ("apisix", _APISIX)

    @property
    def bandwidth(self) -> tuple[tuple[str, int], ...]:
        """Bytes of bodies from clients and to them."""
        return ("ingress", self.values[_INGRESS]), ("egress", self.values[_EGRESS])


def read_rows(slots: memoryview, start: int) -> Iterator[tuple[Labels, RowNumbers]]:
    """Give the rows that are taken, the one with empty labels first."""
    for number in range(min(slots[start], ROWS - 1) + 1):
        place = start + 1 + number * ROW_SLOTS
        yield _read_labels(slots, place), RowNumbers(slots[place : place + ROW_SLOTS].tolist())


def _read_labels(slots: memoryview, place: int) -> Labels:
    text = slots[place : place + _LABEL_SLOTS].tobytes().rstrip(b"\0").decode(errors="replace")
    route, service, node = (*text.split("\0"), "", "")[:3]
    return route, service, node
