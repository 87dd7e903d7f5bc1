from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.timeout import Timeout


def test_seconds_whole_or_not() -> None:
    timeout = Timeout.model_validate({"connect": 1, "send": 0.5, "read": 7200})
    assert (timeout.connect, timeout.send, timeout.read) == (1, 0.5, 7200)


@pytest.mark.parametrize(
    "change",
    [{"read": 0}, {"read": -1}, {"read": "1"}, {"read": True}, {"read": float("inf")}, {"read": None}, {"idle": 1}],
)
def test_bad_limits(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Timeout.model_validate({"connect": 1, "send": 1, "read": 1, **change})


@pytest.mark.parametrize("key", ["connect", "send", "read"])
def test_all_three_are_needed(key: str) -> None:
    document = {"connect": 1, "send": 1, "read": 1}
    del document[key]
    with pytest.raises(ValidationError):
        Timeout.model_validate(document)
