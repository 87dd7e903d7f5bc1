"""The example of a plugin from outside, laid out as an installer would, for a gateway that is measured with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "event_filter"


def install(directory: Path) -> None:
    """Put the example into a directory, for the variable PYTHONPATH."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    information = directory / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (information / "METADATA").write_text(about)
    points = project["entry-points"]["headgate.plugins"]
    lines = ["[headgate.plugins]", *(f"{name} = {value}" for name, value in points.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (directory / "event_filter.py").write_text((EXAMPLE / "event_filter.py").read_text())
