from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.global_rule import GlobalRule


def test_it_has_an_id_and_plugins() -> None:
    rule = GlobalRule.model_validate({"id": 1, "plugins": {"cors": {}}, "create_time": 1, "update_time": 1})
    assert (rule.id, rule.plugins) == (1, {"cors": {}})


@pytest.mark.parametrize(
    "document", [{"id": 1}, {"plugins": {}}, {"id": None, "plugins": {}}, {"id": 1, "plugins": [], "a": 1}]
)
def test_bad_rules(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GlobalRule.model_validate(document)
