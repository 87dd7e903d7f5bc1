from __future__ import annotations

import json
from pathlib import Path

from bench.idle import IdleFigures
from bench.load import LoadFigures, Shape
from bench.peers import PEERS

from bench import report


def figures(cpu_us: float) -> LoadFigures:
    return LoadFigures(100, 10.0, cpu_us, cpu_us, 200.0, 900.0, 1.0, 0.0, [])


ROUNDS = {"headgate": [figures(12.0), figures(11.0)], "nginx": [figures(10.0), figures(10.0)]}
IDLES = {"headgate": IdleFigures(150.0, 300.0), "nginx": IdleFigures(100.0, 200.0)}


def test_the_table_has_medians_spreads_and_ratios() -> None:
    rows = [line.split() for line in report.table(ROUNDS, IDLES).splitlines()]
    assert rows[0] == ["headgate", "nginx", "headgate", "÷", "nginx"]
    assert rows[1][4:] == ["11.50", "(11.00-12.00)", "10.00", "(10.00-10.00)", "1.15", "(1.10-1.20)"]
    assert rows[-1][-3:] == ["300", "200", "1.50"]


def test_one_peer_alone_has_no_ratio() -> None:
    table = report.table({"nginx": ROUNDS["nginx"]}, IDLES)
    assert "÷" not in table
    assert "10.00 (10.00-10.00)" in table


def test_the_raw_figures_are_kept_with_the_machine(tmp_path: Path) -> None:
    path = report.save(tmp_path / "results", Shape(1, 2, 200, 3, 1), ROUNDS, IDLES, [PEERS["headgate"], PEERS["bare"]])
    document = json.loads(path.read_text())
    assert document["rounds"]["headgate"][1]["cpu_us_per_event"] == 11.0
    assert document["idle"]["nginx"] == {"event_us": 100.0, "client_gone_us": 200.0}
    assert document["shape"]["rate"] == 2
    assert set(document["machine"]) == {"cpu", "kernel", "python", "uvloop", "httptools"}
    assert document["versions"]["bare"].startswith("uvloop ")
