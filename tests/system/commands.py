"""``headgate`` commands beside a running program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def start_command(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start ``headgate`` with these arguments in ``directory``."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "headgate", *arguments],
        cwd=directory,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(directory: Path, *arguments: str) -> tuple[int, list[str], list[str]]:
    """Run it to its end; give exit status, lines on stdout and lines on stderr."""
    with start_command(directory, *arguments) as process:
        out, err = process.communicate(timeout=120)
        return process.returncode, out.splitlines(), err.splitlines()
