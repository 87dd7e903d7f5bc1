from __future__ import annotations

import json
import re
from pathlib import Path

from bench.measures.idle_way import IdleFigures
from bench.measures.leaving import Phase
from bench.measures.paced import LoadFigures, Shape
from bench.peers.registry import PEERS
from bench.report import table as report


def figures(cpu_us: float, instructions: float | None = None) -> LoadFigures:
    return LoadFigures(100, 10.0, cpu_us, cpu_us, instructions, 200.0, 900.0, 1.0, 0.0, [])


def idle(event_us: float, gone_us: float) -> IdleFigures:
    return IdleFigures(event_us, {phase.value: gone_us + number for number, phase in enumerate(Phase)})


ROUNDS = {"headgate": [figures(12.0), figures(11.0)], "nginx": [figures(10.0), figures(10.0)]}
IDLES = {"headgate": idle(150.0, 300.0), "nginx": idle(100.0, 200.0)}


def rows(table: str) -> dict[str, list[str]]:
    """Give the cells of each row of the first block, and of the second with `ratio` before its title."""
    found = {}
    for prefix, block in zip(("", "ratio "), table.split("\n\n"), strict=False):
        for line in block.splitlines():
            title, *cells = re.split(r"\s{2,}", line)
            found[prefix + title] = cells
    return found


def test_the_table_has_medians_spreads_and_ratios() -> None:
    table = rows(report.table(ROUNDS, IDLES))
    assert table[""] == ["headgate", "nginx"]
    assert table["CPU µs per event"] == ["11.50 (11.00-12.00)", "10.00"]
    assert table["ratio CPU µs per event"] == ["1.15 (1.10-1.20)"]
    assert table["event in → out, idle, µs"] == ["150", "100"]
    assert table["client gone → upstream told, connecting, µs"] == ["300", "200"]
    assert table["client gone → upstream told, client blocked, µs"] == ["304", "204"]
    assert table["ratio client gone → upstream told, connecting, µs"] == ["1.50"]
    assert "ratio taken by other processes, %" not in table


def test_instructions_have_a_row_where_they_were_counted_for_every_peer() -> None:
    counted = {name: [figures(10.0, 5000.0), figures(10.0, 6000.0)] for name in ROUNDS}
    assert rows(report.table(counted, IDLES))["user instructions per event"] == ["5500 (5000-6000)"] * 2
    assert "user instructions per event" not in rows(report.table({**counted, "nginx": ROUNDS["nginx"]}, IDLES))


def test_each_pair_that_was_measured_has_a_ratio() -> None:
    peers = ("guarded", "plain", "nginx", "against")
    table = report.table({name: [figures(10.0)] for name in peers}, {name: idle(1.0, 1.0) for name in peers})
    assert rows(table)["ratio "] == [
        "guarded ÷ nginx",
        "plain ÷ nginx",
        "against ÷ nginx",
        "guarded ÷ plain",
        "guarded ÷ against",
        "plain ÷ against",
    ]


def test_one_peer_alone_has_no_ratio() -> None:
    table = report.table({"nginx": ROUNDS["nginx"]}, {"nginx": IDLES["nginx"]})
    assert "÷" not in table
    assert rows(table)["CPU µs per event"] == ["10.00"]


def test_the_raw_figures_are_kept_with_the_machine(tmp_path: Path) -> None:
    path = report.save(tmp_path / "results", Shape(1, 2, 200, 3, 1), ROUNDS, IDLES, [PEERS["headgate"], PEERS["bare"]])
    document = json.loads(path.read_text())
    assert document["rounds"]["headgate"][1]["cpu_us_per_event"] == 11.0
    assert document["idle"]["nginx"]["event_us"] == 100.0
    assert document["idle"]["nginx"]["client_gone_us"]["mid-event"] == 203.0
    assert document["shape"]["rate"] == 2
    assert set(document["machine"]) == {"cpu", "kernel", "python", "uvloop", "httptools"}
    assert document["versions"]["bare"].startswith("uvloop ")
