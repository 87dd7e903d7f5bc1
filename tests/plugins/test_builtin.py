from __future__ import annotations

import pytest

from headgate.plugins.api import Plugin
from headgate.plugins.builtin import BUILT_IN


def test_names_and_priorities() -> None:
    assert {plugin.name: plugin.priority for plugin in BUILT_IN} == {
        "stream-guard": 23900,
        "proxy-buffering": 21991,
        "request-id": 12015,
        "cors": 4000,
        "proxy-rewrite": 1008,
        "sse": 1005,
        "stream-log": 398,
    }
    assert list(BUILT_IN) == sorted(BUILT_IN, key=lambda plugin: -plugin.priority)


@pytest.mark.parametrize("plugin", BUILT_IN, ids=lambda plugin: plugin.name)
def test_every_attribute_is_described(plugin: type[Plugin]) -> None:
    fields = plugin.Config.model_fields
    assert [name for name, field in fields.items() if not field.description] == []
    assert set(plugin.Config.model_json_schema()["properties"]) == set(fields)
