from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from bench.report.drawing import draw
from bench.report.plots import Plot, plots
from bench.results import Run
from tests.bench.made import case, results, runs

LATE = [Run(1, {"latency_p50_us": 100, "latency_p99_us": 200, "latency_p999_us": 3000, "cpu_us_per_event": 9})]
RATES = {peer: runs("streams_per_s", 9000, 8000, 9500) for peer in ("headgate", "nginx", "an-unknown-one")}
PLOTS = plots(
    results(
        case("a", {"headgate": LATE, "nginx": LATE, "direct": LATE}),
        case("c", {"headgate": LATE}),
        case("f", {"nginx": runs("memory_bytes_per_stream", 5000)}),
        case("g", RATES),
    )
)


@pytest.mark.parametrize("plot", PLOTS, ids=[plot.name for plot in PLOTS])
def test_a_plot_is_svg_with_its_words_as_text_on_white_ground(plot: Plot, tmp_path: Path) -> None:
    path = draw(plot, tmp_path)
    assert path == tmp_path / f"{plot.name}.svg"
    root = ET.parse(path).getroot()
    words = {"".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {plot.title, plot.axis} <= words
    assert {peer for panel in plot.panels for peer in panel.values} - words <= {"direct"}
    assert "fill: #ffffff" in path.read_text()


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    first, again = ((draw(plot, tmp_path).read_bytes() for plot in PLOTS) for _ in range(2))
    assert list(first) == list(again)
    assert len(PLOTS) == 4
