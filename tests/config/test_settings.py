from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from headgate.config.settings import (
    AdminKey,
    DrainSettings,
    HttpSettings,
    Settings,
    StreamSettings,
    TcpSettings,
    UpstreamSettings,
)

KEYS = (AdminKey(name="ops", key="secret", role="admin"),)


def test_defaults() -> None:
    assert Settings().model_dump() == {
        "listen": ("0.0.0.0:9080",),
        "admin": "127.0.0.1:9180",
        "admin_keys": (),
        "metrics": "127.0.0.1:9091",
        "metrics_explicit": False,
        "authorities": None,
        "workers": os.cpu_count(),
        "data_dir": Path(".headgate"),
        "routes": None,
        "access_log": "stdout",
        "mask_query_keys": (),
        "x_forwarded_host": "full",
        "trusted_addresses": None,
        "http": {
            "head_timeout_s": 10.0,
            "body_timeout_s": 60.0,
            "keepalive_timeout_s": 60.0,
            "max_headers": 100,
            "max_head_bytes": 32768,
            "max_uri_bytes": 8192,
            "send_timeout_s": 60.0,
        },
        "upstream": {"resolve_interval_s": 30.0, "max_head_bytes": 65536, "ca_file": None},
        "streams": {"keepalive_s": 15.0, "max_event_bytes": 1048576, "retry_s": 3.0, "progress_s": 0.0},
        "tcp": {"user_timeout_s": 30.0, "keepalive_s": 30.0},
        "drain": {"delay_s": 0.0, "window_s": 8.0, "idle_s": 5.0},
    }


def test_settings_survive_the_way_to_another_process() -> None:
    settings = Settings(
        listen=("127.0.0.1:1", "[::1]:1"),
        admin="0.0.0.0:2",
        admin_keys=KEYS,
        metrics="off",
        metrics_explicit=True,
        workers=3,
        routes=Path("routes.yaml"),
        trusted_addresses=("10.0.0.0/8",),
        http=HttpSettings(head_timeout_s=0.5),
        upstream=UpstreamSettings(ca_file=Path("ca.pem")),
        authorities="the file's text",
        streams=StreamSettings(keepalive_s=0.5, max_event_bytes=0),
        tcp=TcpSettings(user_timeout_s=0.0),
        drain=DrainSettings(window_s=0.25),
    )
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_settings_do_not_change_and_do_not_show_their_keys() -> None:
    settings = Settings(admin_keys=KEYS)
    with pytest.raises(ValidationError, match="frozen"):
        settings.workers = 1
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "values", [{"authorities": "text"}, {"upstream": {"ca_file": "ca.pem"}}, {"authorities": "", "upstream": {}}]
)
def test_a_file_of_authorities_comes_with_its_text(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="authorities"):
        Settings.model_validate(values)


@pytest.mark.parametrize(
    ("section", "name", "allowed", "refused"),
    [
        (StreamSettings, "keepalive_s", 0, -0.001),
        (StreamSettings, "max_event_bytes", 0, -1),
        (StreamSettings, "retry_s", 0.001, 0),
        (StreamSettings, "retry_s", 3600, 3600.001),
        (StreamSettings, "progress_s", 0, -1),
        (TcpSettings, "user_timeout_s", 0, -1),
        (TcpSettings, "keepalive_s", 0, -1),
        (DrainSettings, "delay_s", 0, -1),
        (DrainSettings, "window_s", 0.001, 0),
        (DrainSettings, "idle_s", 0, -1),
    ],
)
def test_the_bounds_of_a_number(section: type[BaseModel], name: str, allowed: float, refused: float) -> None:
    assert getattr(section.model_validate({name: allowed}), name) == allowed
    with pytest.raises(ValidationError, match=name):
        section.model_validate({name: refused})


def test_an_open_admin_api_cannot_be_set_by_any_way() -> None:
    with pytest.raises(ValidationError, match="no admin_keys"):
        Settings(admin="0.0.0.0:9180")


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for info in model.model_fields.values():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from sections(info.annotation)


def test_every_setting_says_what_it_is_and_times_say_their_unit() -> None:
    models: list[type[BaseModel]] = [*sections(Settings), AdminKey]
    for model in models:
        for name, info in model.model_fields.items():
            assert info.description, name
            assert not name.endswith("_s") or "in seconds" in info.description, name
            assert not name.endswith("_bytes") or "in bytes" in info.description, name
