"""The page in the repository is what the program makes of the figures that are kept beside it."""

from __future__ import annotations

import re
from pathlib import Path

from bench.report.page import FIGURES, PAGE, page
from bench.report.plots import plots
from bench.results import load

DESIGN = Path(__file__).parents[3] / "docs" / "design"
BESIDE = DESIGN / "performance"


def test_the_page_is_made_of_the_figures_beside_it() -> None:
    assert (DESIGN / PAGE).read_text(encoding="utf-8") == page(load(BESIDE / FIGURES))


def test_every_plot_that_the_page_names_is_there_and_no_other() -> None:
    named = set(re.findall(r"\]\(performance/([\w-]+)\.svg\)", (DESIGN / PAGE).read_text(encoding="utf-8")))
    assert named == {plot.name for plot in plots(load(BESIDE / FIGURES))}
    assert named == {path.stem for path in BESIDE.glob("*.svg")}
