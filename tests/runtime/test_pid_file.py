from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headgate.runtime import pid_file
from headgate.runtime.pid_file import DataDirectoryTakenError, NotFoundError

TAKER = (
    "import sys; from pathlib import Path; from headgate.runtime import pid_file;"
    "pid_file.take(Path(sys.argv[1])); print('taken', flush=True); input()"
)


@contextmanager
def holder(data_dir: Path, *, name: str = "headgate.runtime.supervisor") -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock; ``name`` stands in its command line as a supervisor's does."""
    with subprocess.Popen(
        [sys.executable, "-c", TAKER, str(data_dir), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        try:
            yield process
        finally:
            process.kill()


def test_who_holds_it_is_found_and_a_second_one_is_told(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert pid_file.find(tmp_path) == process.pid
        with pytest.raises(DataDirectoryTakenError, match=rf"process {process.pid}\): stop that one, or choose"):
            pid_file.take(tmp_path)
    with pytest.raises(NotFoundError, match="no headgate runs"):
        pid_file.find(tmp_path)


def test_where_there_is_no_file_nobody_runs(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no headgate runs"):
        pid_file.find(tmp_path / "absent")


def test_a_holder_that_is_no_supervisor_here_is_not_taken_for_one(tmp_path: Path) -> None:
    with holder(tmp_path, name="another"), pytest.raises(NotFoundError, match="not where this command can see it"):
        pid_file.find(tmp_path)


def test_it_is_ours_alone_and_no_child_has_it(tmp_path: Path) -> None:
    descriptor = pid_file.take(tmp_path)
    path = tmp_path / pid_file.NAME
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    os.close(pid_file.take(tmp_path))


def test_asking_does_not_keep_anybody_from_starting(tmp_path: Path) -> None:
    os.close(pid_file.take(tmp_path))
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            with pytest.raises(NotFoundError):
                pid_file.find(tmp_path)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(20):
        os.close(pid_file.take(tmp_path))
    done.set()
    asking.join()
