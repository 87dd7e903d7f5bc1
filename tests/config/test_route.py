from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.route import Route


def test_defaults_are_those_of_apisix() -> None:
    route = Route.model_validate({"uri": "/", "upstream_id": 1})
    assert (route.priority, route.status, route.enable_websocket, route.vars) == (0, 1, None, None)


@pytest.mark.parametrize("answer", ["plugins", "upstream", "upstream_id", "service_id", "script"])
@pytest.mark.parametrize("where", [{"uri": "/"}, {"uris": ["/"]}])
def test_each_answer_goes_with_each_form_of_path(answer: str, where: dict[str, Any]) -> None:
    values: dict[str, Any] = {"plugins": {}, "upstream": {"nodes": {}}, "script": "local a = 1"}
    document = {**where, answer: values.get(answer, 1)}
    assert Route.model_validate(document).model_dump(exclude_unset=True) == document


@pytest.mark.parametrize("status", [2, -1, True, 1.0, "1", None])
def test_status_is_one_or_zero(status: object) -> None:
    with pytest.raises(ValidationError):
        Route.model_validate({"uri": "/", "upstream_id": 1, "status": status})


def test_the_schema_tells_what_goes_together() -> None:
    schema = Route.model_json_schema()
    assert schema["properties"]["status"]["enum"] == [1, 0]
    assert {"oneOf": [{"required": ["uri"]}, {"required": ["uris"]}]} in schema["allOf"]
