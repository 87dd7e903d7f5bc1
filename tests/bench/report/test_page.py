from __future__ import annotations

import re
from pathlib import Path

from bench.report.page import page, write
from bench.results import CaseResult, Run, load
from tests.bench.made import case, results, runs


def measured(others_percent: float = 1.0) -> CaseResult:
    figures = {"cpu_us_per_event": 10.0, "others_percent": others_percent}
    return case("a", {"headgate": [Run(1, figures)], "nginx": [Run(1, figures)]})


def test_the_page_tells_targets_peers_machine_plots_and_cases() -> None:
    told = page(results(measured()))
    assert re.findall(r"^#+ .*$", told, re.MULTILINE) == [
        "# Performance",
        "## Targets",
        "## What was measured, and how",
        "## Plots",
        "## Cases",
        "### a: title of a",
    ]
    for line in (
        "Measured on 2026-01-02 03:04 UTC: the full form, 2 rounds.",
        "1 of 1 targets that were measured are reached, 26 were not measured.",
        "| CPU µs per event, headgate ÷ nginx | a | ≤ 1.05 | 1.00 | reached |",
        "| `nginx`: NGINX, `proxy_buffering off` | 1.2.3 |",
        "| CPU | a processor |",
        "![CPU per event](performance/cpu-per-event.svg)",
        "`Load(streams=3)`",
        "| `headgate` | 10.00 | 1.00 | 1 |",
    ):
        assert line in told.splitlines()


def test_a_run_that_was_not_quiet_says_so() -> None:
    assert "**The machine was not quiet:** in one run other processes took 7 % of a core. " in page(
        results(measured(7))
    )
    assert "quiet" not in page(results(measured(5))).partition("## Targets")[0]


def test_what_was_not_there_is_told_with_the_line_that_installs_it() -> None:
    told = page(results(measured(), missing={"caddy": "Caddy is not installed: sudo apt-get install caddy"}))
    assert "Not measured: caddy. Caddy is not installed: sudo apt-get install caddy" in told


def test_a_short_run_is_told_as_one() -> None:
    told = page(results(measured(), form="short"))
    assert "Measured on 2026-01-02 03:04 UTC: the short form, with small sizes and few peers, 2 rounds." in told


def test_written_is_the_page_with_its_plots_and_the_figures_that_give_the_same_page(tmp_path: Path) -> None:
    whole = results(measured(), case("f", {"nginx": runs("memory_bytes_per_stream", 5000)}))
    beside = tmp_path / "performance"
    beside.mkdir()
    (beside / "an-old-plot.svg").write_text("")
    paths = write(whole, tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in paths} == {
        "performance.md",
        "performance/figures.json",
        "performance/cpu-per-event.svg",
        "performance/memory-per-stream.svg",
    }
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(paths)
    assert page(load(beside / "figures.json")) == (tmp_path / "performance.md").read_text()
