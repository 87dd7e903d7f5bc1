"""The scripts behind the Makefile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
CREATE_VENV = REPOSITORY / "scripts" / "create-venv"


def run(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CREATE_VENV), *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_directory_that_is_no_virtual_environment_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "precious" / "file"
    kept.parent.mkdir()
    kept.write_text("kept")
    done = run(sys.executable, "precious", directory=tmp_path)
    assert done.returncode == 1
    assert "precious is there and is no virtual environment" in done.stderr
    assert kept.read_text() == "kept"


def test_a_name_that_falls_apart_is_refused(tmp_path: Path) -> None:
    assert run(sys.executable, "a", "b", directory=tmp_path).returncode == 2
    done = subprocess.run(
        ["make", "-n", "-C", str(REPOSITORY), f"VENV={tmp_path} x/.venv", "check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "VENV is one name without spaces" in done.stderr


def test_python_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = run("no-such-python", "venv", directory=tmp_path)
    assert (done.returncode, "apt-get install python3 python3-venv" in done.stderr) == (1, True)
