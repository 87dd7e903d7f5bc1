from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.service import Service


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"id": "1", "name": "n", "desc": "d", "labels": {"a": "b"}},
        {"plugins": {"x": {}}, "upstream": {"nodes": {}}, "upstream_id": 1, "enable_websocket": False, "hosts": ["a"]},
    ],
)
def test_good_services(document: dict[str, Any]) -> None:
    assert Service.model_validate(document).model_dump(exclude_unset=True) == document


@pytest.mark.parametrize(
    "document", [{"hosts": []}, {"host": "a"}, {"uri": "/"}, {"script": "short"}, {"plugins": None}]
)
def test_bad_services(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Service.model_validate(document)
