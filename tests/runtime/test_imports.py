"""What a process loads before it works: each of these takes tens of milliseconds of its start, and memory as long as it runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

WEB = ("fastapi", "starlette", "uvicorn", "h11", "websockets", "prometheus_client")
SCREENS = ("typer", "rich", "pygments")


def loaded_by(module: str) -> set[str]:
    """Give the top-level packages that are there once a process has imported ``module``, as it does when it runs it."""
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-P", "-c", program], check=True, capture_output=True, timeout=60)
    return {name.partition(".")[0] for name in json.loads(found.stdout)}


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("headgate.runtime.worker", (*WEB, *SCREENS, "yaml", "sqlite3")),
        ("headgate.runtime.control", (*WEB, *SCREENS, "yaml")),
        ("headgate.config.settings_sources", (*WEB, *SCREENS, "yaml", "sqlite3", "uvloop", "structlog")),
        (
            "headgate.runtime.supervisor",
            (*WEB, *SCREENS, "yaml", "sqlite3", "uvloop", "structlog", "pydantic", "msgspec"),
        ),
    ],
)
def test_a_process_loads_nothing_that_it_does_not_run(module: str, needless: tuple[str, ...]) -> None:
    assert sorted(loaded_by(module) & set(needless)) == []


def test_what_is_loaded_without_rich_still_finds_it_later() -> None:
    program = "import headgate.runtime.plain_structlog, structlog, rich.text; print(structlog.dev.rich is None)"
    found = subprocess.run([sys.executable, "-P", "-c", program], check=True, capture_output=True, timeout=60)
    assert found.stdout == b"True\n"


def test_the_admin_api_comes_with_what_speaks_http() -> None:
    assert {"fastapi", "uvicorn", "prometheus_client"} <= loaded_by("headgate.runtime.admin_site")
