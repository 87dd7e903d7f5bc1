from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.config.settings import Settings
from headgate.runtime.reactor import Reactor
from headgate.runtime.settings_reading import Reread, SettingsReading
from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.start import write_whole


@pytest.fixture
def served() -> Iterator[int]:
    descriptor = write_whole(Settings(workers=2).model_dump_json().encode())
    yield descriptor
    os.close(descriptor)


def read(sources: SettingsSources, served: int, *, kill: bool = False) -> Reread:
    reactor = Reactor()
    results: list[Reread] = []
    reading = SettingsReading(reactor, sources, served, results.append)
    if kill:
        reading.kill()

    def look() -> None:
        reading.reap()
        reactor.after(0.01, look)

    look()
    deadline = time.monotonic() + 60
    while not results:
        assert time.monotonic() < deadline
        reactor.turn()
    reading.reap()
    assert len(results) == 1
    return results[0]


def test_what_was_read_comes_once(tmp_path: Path, served: int) -> None:
    (tmp_path / "headgate.yaml").write_text("workers: 3\nmask_query_keys: [x]\n")
    result = read(SettingsSources(config=str(tmp_path / "headgate.yaml")), served)
    assert result.settings is not None
    assert (result.settings["mask_query_keys"], result.settings["workers"]) == (["x"], 2)
    assert (result.kept, result.problems) == ({"workers": {"served": 2, "asked": 3}}, [])


def test_problems_come_as_lines(tmp_path: Path, served: int) -> None:
    result = read(SettingsSources(config=str(tmp_path / "absent.yaml")), served)
    assert result.settings is None
    assert result.problems == [f"{tmp_path}/absent.yaml: cannot be read: No such file or directory"]


def test_a_reader_that_dies_is_a_problem_too(served: int) -> None:
    result = read(SettingsSources(), served, kill=True)
    assert result.problems == ["the process that reads the settings ended with status -9"]
