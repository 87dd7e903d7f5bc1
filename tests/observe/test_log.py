from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def lines_of(code: str) -> list[dict[str, Any]]:
    """Give what a process logs that is set up as a worker."""
    setup = "import asyncio, logging, structlog; from headgate.observe import log; log.configure('worker 3'); "
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_has_event_level_process_and_time() -> None:
    (line,) = lines_of("structlog.get_logger().info('worker is up', streams=3)")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "worker is up", "level": "info", "process": "worker 3", "streams": 3}


def test_an_exception_comes_with_its_place_in_one_line() -> None:
    (line,) = lines_of("\ntry: 1 / 0\nexcept ZeroDivisionError: structlog.get_logger().exception('failed')")
    assert line["level"] == "error"
    assert "ZeroDivisionError" in line["exception"]


def test_libraries_warnings_come_in_the_same_form() -> None:
    (line,) = lines_of(
        "logging.getLogger('uvicorn').info('not this'); logging.getLogger('uvicorn').warning('%s!', 'this')"
    )
    assert (line["event"], line["level"], line["logger"]) == ("this!", "warning", "uvicorn")


def test_a_logger_made_before_the_set_up_works() -> None:
    code = "import headgate.runtime.orders as o; o._log.warning('late')"
    (line,) = lines_of(code)
    assert line["event"] == "late"


def test_debug_is_left_out() -> None:
    assert lines_of("structlog.get_logger().debug('noise')") == []
