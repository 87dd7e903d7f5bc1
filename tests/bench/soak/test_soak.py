"""A whole soak, short and small, with the real program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.soak.__main__ import main
from bench.soak.report import add_tallies, endings


@pytest.mark.slow
def test_a_short_soak_finds_nothing_and_keeps_its_figures(tmp_path: Path) -> None:
    size = ["--minutes", "0.25", "--streams", "60", "--reload-every", "5", "--results", str(tmp_path)]
    command = [sys.executable, "-m", "bench.soak", *size]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "no violation" in done.stdout
    [kept] = tmp_path.iterdir()
    document = json.loads(kept.read_text())
    assert document["violations"] == []
    assert document["visitors"]["events"] > 300
    assert document["endings"]["drain"] > 0
    assert document["endings"]["client_gone"] > 0
    assert document["done"]["reloads"] >= 1
    assert {sample["role"] for sample in document["samples"]} == {"supervisor", "control", "worker"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--without", "plain,slow"], "no such kind: slow; there are plain, brief,"),
        (["--minutes", "some"], "invalid float value: 'some'"),
    ],
)
def test_bad_arguments_are_told(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_what_visitor_processes_tell_is_added_up() -> None:
    one = {"events": 3, "ends": {"left": 1, "fin": 2}, "violations": ["a"], "retry_ms": [5, 9]}
    other = {"events": 4, "ends": {"left": 1}, "violations": [], "retry_ms": [2, 7]}
    assert add_tallies([one, other]) == {
        "events": 7,
        "ends": {"left": 2, "fin": 2},
        "violations": ["a"],
        "retry_ms": [2, 9],
    }
    assert add_tallies([{"retry_ms": []}])["retry_ms"] == []


def test_endings_are_read_from_the_metrics() -> None:
    metrics = {
        'headgate_streams_ended_total{ending="drain"}': 2.0,
        'headgate_streams_ended_total{ending="complete"}': 5.0,
        'headgate_streams_ended_total{ending="killed"}': 0.0,
        'headgate_exchanges_ended_total{ending="refused"}': 9.0,
    }
    assert endings(metrics) == {"complete": 5, "drain": 2}
