from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headgate.config.settings import Settings
from headgate.runtime.settings_reader import TAKES_RESTART, read_again
from headgate.runtime.settings_reading import READER
from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.start import write_whole

KEY = {"name": "me", "key": "k3y", "role": "admin"}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HEADGATE_"):
            monkeypatch.delenv(name)


def served(**values: Any) -> Settings:
    return Settings.model_validate({"workers": 2, **values})


def sources(directory: Path, text: str, **flags: object) -> SettingsSources:
    (directory / "headgate.yaml").write_text(text)
    return SettingsSources.of(directory / "headgate.yaml", flags)


def test_what_may_change_does(tmp_path: Path) -> None:
    answer = read_again(sources(tmp_path, "http: {max_headers: 7}\nadmin_keys: []\n", workers="2"), served())
    assert answer["kept"] == {}
    assert answer["settings"]["http"]["max_headers"] == 7
    assert Settings.model_validate_json(json.dumps(answer["settings"])).http.max_headers == 7


def test_flags_win_over_the_file_again_and_variables_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_DRAIN_WINDOW_S", "3")
    answer = read_again(sources(tmp_path, "workers: 5\ndrain: {window_s: 9}\n", workers="2"), served())
    assert (answer["kept"], answer["settings"]["workers"], answer["settings"]["drain"]["window_s"]) == ({}, 2, 3.0)


def test_what_takes_a_restart_is_kept_and_named(tmp_path: Path) -> None:
    text = "listen: ['127.0.0.1:1']\nadmin: 127.0.0.1:2\nmetrics: 'off'\nworkers: 9\ndata_dir: x\nroutes: y\n"
    before = served()
    answer = read_again(sources(tmp_path, text), before)
    assert sorted(answer["kept"]) == sorted(TAKES_RESTART)
    assert answer["kept"]["workers"] == {"served": 2, "asked": 9}
    assert answer["settings"] == before.model_dump(mode="json")


def test_keys_that_an_open_admin_address_needs_cannot_go(tmp_path: Path) -> None:
    before = served(admin="0.0.0.0:9180", admin_keys=[KEY])
    (problem,) = read_again(sources(tmp_path, "workers: 2\n"), before)["problems"]
    assert problem.startswith("without a restart, which admin takes: 0.0.0.0:9180 can be reached from other machines")


def test_every_problem_has_its_place(tmp_path: Path) -> None:
    problems = read_again(sources(tmp_path, "wrkers: 2\nhttp: {max_headers: 0}\n", admin="x"), served())["problems"]
    assert [problem.partition(": ")[0].rpartition("/")[2] for problem in problems] == [
        "--admin",
        "headgate.yaml:1:1",
        "headgate.yaml:2:8",
    ]


def test_it_answers_on_stdout_and_shows_no_secret_in_its_arguments(tmp_path: Path) -> None:
    where = sources(tmp_path, "admin_keys: [{name: me, key: s3cret, role: admin}]\nworkers: 2\n")
    descriptor = write_whole(served(admin_keys=[KEY]).model_dump_json().encode())
    command = [sys.executable, "-P", "-m", READER, where.to_argument(), str(descriptor)]
    assert "s3cret" not in " ".join(command)
    done = subprocess.run(command, pass_fds=[descriptor], capture_output=True, text=True, check=True)
    os.close(descriptor)
    assert json.loads(done.stdout)["settings"]["admin_keys"][0]["key"] == "s3cret"
    assert done.stderr == ""
