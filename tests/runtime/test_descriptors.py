from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, resource
from headgate.runtime import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
before = len(os.listdir("/proc/self/fd"))
descriptors.raise_limit(2)
descriptors.try_room({workers})
assert len(os.listdir("/proc/self/fd")) == before
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def run(*, soft: int, hard: int, workers: int) -> subprocess.CompletedProcess[str]:
    code = CODE.format(soft=soft, hard=hard, workers=workers)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_soft_limit_becomes_the_hard_one_and_that_is_said() -> None:
    done = run(soft=64, hard=128, workers=4)
    assert done.stdout == "128\n"
    assert '"streams": 80' in done.stderr  # (128 - 48) / 2 for each of two


@pytest.mark.parametrize(("workers", "fits"), [(20, True), (40, False)])
def test_room_for_two_crews_is_tried(workers: int, fits: bool) -> None:
    done = run(soft=64, hard=64, workers=workers)
    assert (done.returncode == 0) is fits
    assert fits or "Too many open files" in done.stderr
