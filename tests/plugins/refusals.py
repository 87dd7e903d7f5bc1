"""What a plugin's configuration is refused with."""

from __future__ import annotations

import pytest

from headgate.config.validation import InvalidConfiguration
from headgate.plugins.catalog import Catalog


def refusal_of(name: str, conf: object) -> str:
    """Give the text behind ``failed to check the configuration of plugin <name> err:``."""
    with pytest.raises(InvalidConfiguration) as refusal:
        Catalog().check(name, conf)
    prefix = f"failed to check the configuration of plugin {name} err: "
    assert refusal.value.text.startswith(prefix)
    return refusal.value.text.removeprefix(prefix)
