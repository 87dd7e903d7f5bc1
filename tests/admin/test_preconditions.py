from __future__ import annotations

import pytest

from headgate.admin.answers import Refusal
from headgate.admin.preconditions import Preconditions
from headgate.config.store import Item

KEY = "/apisix/routes/1"
AT_7 = Item("routes", "1", {}, 3, 7)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "item"),
    [
        (None, None, None),
        (None, None, AT_7),
        ('"7"', None, AT_7),
        ('"6", "7"', None, AT_7),
        ("*", None, AT_7),
        (None, "*", None),
        (None, '"7"', None),
        (None, '"6", W/"7"', AT_7),
    ],
)
def test_a_condition_that_holds_passes(if_match: str | None, if_none_match: str | None, item: Item | None) -> None:
    Preconditions(if_match, if_none_match).check(KEY, item)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "item", "text"),
    [
        ('"6"', None, AT_7, '/apisix/routes/1 is at modifiedIndex 7, If-Match asks for "6"'),
        ('W/"7"', None, AT_7, '/apisix/routes/1 is at modifiedIndex 7, If-Match asks for W/"7"'),
        ("7", None, AT_7, "/apisix/routes/1 is at modifiedIndex 7, If-Match asks for 7"),
        ("", None, AT_7, "/apisix/routes/1 is at modifiedIndex 7, If-Match asks for "),
        ('"7"', None, None, '/apisix/routes/1 does not exist, If-Match asks for "7"'),
        ("*", None, None, "/apisix/routes/1 does not exist, If-Match asks for *"),
        (None, "*", AT_7, "/apisix/routes/1 is at modifiedIndex 7, If-None-Match excludes *"),
        (None, '"7"', AT_7, '/apisix/routes/1 is at modifiedIndex 7, If-None-Match excludes "7"'),
    ],
)
def test_a_condition_that_does_not_hold_is_412(
    if_match: str | None, if_none_match: str | None, item: Item | None, text: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        Preconditions(if_match, if_none_match).check(KEY, item)

    assert (refusal.value.outcome.status, refusal.value.outcome.body) == (412, {"error_msg": text})
