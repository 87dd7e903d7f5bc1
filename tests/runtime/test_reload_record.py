from __future__ import annotations

import os
from pathlib import Path

import pytest

from headgate.runtime import reload_record
from headgate.runtime.reload_record import ReloadRecord, ReloadState


def read(data_dir: Path) -> ReloadState:
    return reload_record.read(data_dir, os.getpid())


def test_each_reload_has_a_number_and_an_end(tmp_path: Path) -> None:
    record = ReloadRecord(tmp_path)
    assert read(tmp_path).reload == 0
    record.begin()
    assert (read(tmp_path).reload, read(tmp_path).state) == (1, "begun")
    record.finish(notes=["a note"])
    assert (read(tmp_path).reload, read(tmp_path).state, read(tmp_path).notes) == (1, "serving", ["a note"])
    record.begin()
    record.finish(["no", "good"])
    state = read(tmp_path)
    assert (state.reload, state.state, state.problems) == (2, "given_up", ["no", "good"])
    assert (tmp_path / reload_record.NAME).stat().st_mode & 0o777 == 0o600


def test_what_another_process_did_does_not_count(tmp_path: Path) -> None:
    record = ReloadRecord(tmp_path)
    record.begin()
    assert reload_record.read(tmp_path, os.getpid() + 1).reload == 0


def test_a_record_that_cannot_be_written_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = ReloadRecord(tmp_path)
    (tmp_path / "headgate.reload-new").mkdir()
    record.begin()
    assert "headgate.reload cannot be written" in capfd.readouterr().err
    assert read(tmp_path).reload == 0
