"""Results that no machine made, for tests of what is made of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.results import CaseResult, Results, Run

MACHINE = {"CPU": "a processor", "kernel": "6.1", "Python": "CPython 3.11"}


def runs(figure: str, *values: float) -> list[Run]:
    """Give a run for each value, in rounds 1, 2, 3 …"""
    return [Run(number, {figure: value}) for number, value in enumerate(values, 1)]


def case(name: str, by_peer: Mapping[str, Sequence[Run]], base: str = "nginx", note: str = "") -> CaseResult:
    """Give a case with these runs."""
    return CaseResult(name, f"title of {name}", "Load(streams=3)", base, note, {p: list(r) for p, r in by_peer.items()})


def results(*cases: CaseResult, missing: Mapping[str, str] | None = None, form: str = "full") -> Results:
    """Give a run of the bench with these cases."""
    peers = list(dict.fromkeys(peer for one in cases for peer in one.runs))
    versions = dict.fromkeys(peers, "1.2.3")
    return Results(form, "2026-01-02 03:04", 2, MACHINE, versions, dict(missing or {}), list(cases))
