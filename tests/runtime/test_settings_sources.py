from __future__ import annotations

from pathlib import Path

from headgate.runtime.settings_sources import SettingsSources


def test_the_argument_carries_what_was_given_and_nothing_else() -> None:
    flags = {"listen": ["127.0.0.1:1", "127.0.0.1:2"], "data_dir": Path("here"), "workers": "2", "admin": None}
    sources = SettingsSources.of(Path("some/headgate.yaml"), flags)
    again = SettingsSources.from_argument(sources.to_argument())
    assert again == sources
    assert again.config == "some/headgate.yaml"
    assert again.flags == {"listen": ["127.0.0.1:1", "127.0.0.1:2"], "data_dir": "here", "workers": "2"}


def test_nothing_given_is_nothing() -> None:
    assert SettingsSources.of(None, {"listen": None, "admin": None}) == SettingsSources()
