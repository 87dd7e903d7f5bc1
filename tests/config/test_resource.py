from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.change import KINDS, Kind
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.resource import SINGULAR, Resource, check_id, forbid_times


@pytest.mark.parametrize("value", [1, 99999999999999, "1", "a", "a-b-c-ABC_0.1", "a" * 64])
def test_good_ids(value: int | str) -> None:
    assert Resource.model_validate({"id": value}).id == value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "", "a" * 65, "a b", "a/b", "ä", "a\n", [], {}, None])
def test_bad_ids(value: object) -> None:
    with pytest.raises(ValidationError):
        Resource.model_validate({"id": value})


@pytest.mark.parametrize(
    ("path_id", "body_id", "given"),
    [("1", None, "1"), ("1", 1, "1"), ("1", "1", "1"), (None, 1, 1), (None, "a", "a")],
)
def test_the_path_names_the_id_before_the_body(path_id: str | None, body_id: object, given: object) -> None:
    assert check_id("routes", path_id, body_id) == given


@pytest.mark.parametrize(
    ("kind", "path_id", "body_id", "wanted", "text"),
    [
        ("routes", None, None, True, "missing route id"),
        ("global_rules", None, None, True, "missing global rule id"),
        ("routes", "1", 3, True, "wrong route id"),
        ("services", "1", {}, True, "wrong service id"),
        ("upstreams", "1", None, False, "wrong upstream id, do not need it"),
        ("routes", None, 1, False, "wrong route id, do not need it"),
    ],
)
def test_refused_ids(kind: Kind, path_id: str | None, body_id: object, wanted: bool, text: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        check_id(kind, path_id, body_id, wanted=wanted)
    assert (caught.value.text, caught.value.location) == (text, ("id",))


def test_a_post_needs_no_id() -> None:
    assert check_id("routes", None, None, wanted=False) is None


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"create_time": 1}, "create_time"),
        ({"update_time": None}, "update_time"),
        ({"update_time": 1, "create_time": 1}, "create_time"),
        ({"upstream": {"create_time": 1}}, "upstream.create_time"),
        ({"plugins": {"update_time": 1}}, "plugins.update_time"),
    ],
)
def test_times_cannot_be_set(document: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        forbid_times(document)
    assert caught.value.text == f"the property is forbidden:  {text}"
    assert caught.value.location == tuple(text.split("."))


@pytest.mark.parametrize("document", [{}, {"upstream": 1, "plugins": None}, {"desc": "create_time", "upstream": {}}])
def test_other_documents_have_no_times(document: dict[str, Any]) -> None:
    before = dict(document)
    forbid_times(document)
    assert document == before


def test_every_kind_has_a_word() -> None:
    assert set(SINGULAR) == set(KINDS)
