"""What the bench measures: each case with its load, the peers that take part, and how long one run takes.

The full form has every case; the short one those that have a ``brief`` measure, with smaller sizes and only three peers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measures.idle_memory import IdleMemory
from bench.measures.idle_way import IdleWay
from bench.measures.measure import Measure
from bench.measures.paced import PacedLoad
from bench.measures.requests import Requests
from bench.measures.saturation import Saturation
from bench.measures.start import Start
from bench.measures.storm import Storm
from bench.measures.transfer import Transfer

GATEWAYS = ("headgate", "nginx", "haproxy", "caddy", "envoy")
PAIRS = ("aiohttp", "starlette")
BRIEF_PEERS = ("headgate", "nginx", "bare")
FORMS_OF_HEADGATE = ("guarded", "plain", "against")
"""Peers that are measured when they are asked for only, in every case in which headgate is."""


@dataclass(frozen=True, slots=True)
class Case:
    """One load.

    ``name`` is its letter, with a word behind it where the letter has two; ``run_s`` and ``brief_run_s`` are how long a run of one
    peer takes with start and stop, as it was seen; ``base`` is the peer that ratios are taken to; ``note`` says what is left out.
    """

    name: str
    title: str
    measure: Measure
    peers: tuple[str, ...]
    run_s: float
    brief: Measure | None = None
    brief_run_s: float = 0.0
    base: str = "nginx"
    note: str = ""

    def takes(self, only: Sequence[str] | None, *, full: bool) -> list[str]:
        """Give the peers that take part: of those in ``only`` if it is given, with headgate's forms standing beside it."""
        if only is None:
            return [peer for peer in self.peers if full or peer in BRIEF_PEERS]
        return [peer for peer in only if peer in self.peers or (peer in FORMS_OF_HEADGATE and "headgate" in self.peers)]


def _paced(streams: int, rate: float, size_bytes: int) -> PacedLoad:
    return PacedLoad(streams=streams, rate=rate, size_bytes=size_bytes, seconds=3, warmup_s=1)


def _brief(streams: int, rate: float, size_bytes: int, seconds: float) -> PacedLoad:
    return PacedLoad(streams=streams, rate=rate, size_bytes=size_bytes, seconds=seconds, warmup_s=1)


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case(
            "a",
            "1,000 streams x 10 events/s x 200 bytes",
            _paced(1000, 10, 200),
            (*GATEWAYS, *PAIRS, "bare", "direct"),
            run_s=7,
            brief=_brief(1000, 10, 200, 3),
            brief_run_s=7,
        ),
        Case("b", "100 streams x 50 events/s x 200 bytes", _paced(100, 50, 200), GATEWAYS, run_s=7),
        Case(
            "c",
            "1,000 streams x 60 events/s x 200 bytes",
            _paced(1000, 60, 200),
            (*GATEWAYS, "bare", "direct"),
            run_s=7.5,
            brief=_brief(1000, 60, 200, 2),
            brief_run_s=6,
            note="The Python pairs are measured on the load of case a: 60,000 events/s are more than one core of theirs relays.",
        ),
        Case(
            "d",
            "token-like: 300 streams x 80 events/s x 120 bytes",
            _paced(300, 80, 120),
            (*GATEWAYS, "direct"),
            run_s=7,
        ),
        Case(
            "e",
            "9,000 streams x 1 event/s x 200 bytes",
            _paced(9000, 1, 200),
            ("headgate", "nginx"),
            run_s=14,
        ),
        Case(
            "f",
            "9,000 idle streams",
            IdleMemory(streams=9000, seconds=2),
            GATEWAYS,
            run_s=12,
            brief=IdleMemory(streams=1000, seconds=1),
            brief_run_s=6,
        ),
        Case(
            "g",
            "connect storm: 5,000 streams opened as fast as they go",
            Storm(streams=5000),
            (*GATEWAYS, "aiohttp", "bare"),
            run_s=4,
            brief=Storm(streams=1000),
            brief_run_s=3,
            note="Starlette with httpx2 is left out: it opens a few hundred streams a second, and fewer the more are open.",
        ),
        Case(
            "h",
            "small keep-alive GETs",
            Requests(connections=64, seconds=3),
            (*GATEWAYS, *PAIRS),
            run_s=7.5,
            brief=Requests(connections=64, seconds=2),
            brief_run_s=5,
            note="The smallest relay is left out: it closes the connection after each answer.",
        ),
        Case(
            "i-download",
            "large downloads",
            Transfer(megabytes=512, direction="download"),
            (*GATEWAYS, "aiohttp"),
            run_s=3.5,
        ),
        Case(
            "i-upload",
            "large uploads",
            Transfer(megabytes=512, direction="upload"),
            (*GATEWAYS, "aiohttp"),
            run_s=3.5,
        ),
        Case(
            "k",
            "saturation: the next event when the last has arrived",
            Saturation(streams=500, size_bytes=200, seconds=3),
            GATEWAYS,
            run_s=8,
        ),
        Case(
            "l",
            "case a's load on 1, 100 and 10,000 routes",
            _paced(1000, 10, 200),
            ("headgate", "headgate-100-routes", "headgate-10000-routes"),
            run_s=8,
            base="headgate",
        ),
        Case(
            "m",
            "case a's load with an event plugin on the route",
            _paced(1000, 10, 200),
            ("headgate-events", "nginx"),
            run_s=7,
        ),
        Case(
            "start",
            "start of a gateway and of a worker, and an idle gateway's memory",
            Start(),
            ("headgate", "headgate-10000-routes", *GATEWAYS[1:]),
            run_s=4,
            brief=Start(workers=3, imports=3),
            brief_run_s=6,
        ),
        Case(
            "way",
            "an idle gateway: an event's way, and the news that a client has left",
            IdleWay(tries=30, size_bytes=200),
            ("headgate", "nginx", "bare"),
            run_s=8,
        ),
    )
}


def choose(names: Sequence[str] | None, *, full: bool) -> list[Case]:
    """Give the cases of a form, or those that are named, by letter or in full. Raises ValueError for one that is not there."""
    if names is None:
        return [case for case in CASES.values() if full or case.brief is not None]
    chosen = []
    for name in names:
        found = [case for case in CASES.values() if case.name == name or case.name.startswith(f"{name}-")]
        if not found:
            raise ValueError(f"no such case: {name}; there are {', '.join(CASES)}")
        chosen += found
    return list(dict.fromkeys(chosen))
