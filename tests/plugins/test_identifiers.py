from __future__ import annotations

import re
import time
import uuid

import pytest

from headgate.plugins.identifiers import ksuid, nanoid, range_id, uuid4, uuid7


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (uuid4, r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        (uuid7, r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        (nanoid, r"[0-9A-Za-z_-]{21}"),
        (ksuid, r"[0-9A-Za-z]{27}"),
        (lambda: range_id(30, "abc123"), r"[abc123]{30}"),
    ],
)
def test_form_and_difference(make: object, form: str) -> None:
    assert callable(make)
    ids = [make() for _ in range(180)]
    assert [given for given in ids if re.fullmatch(form, given) is None] == []
    assert len(set(ids)) == 180


def test_uuid7_begins_with_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7()).int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


def test_a_ksuid_begins_with_the_time() -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    before = int(time.time())
    value = 0
    for character in ksuid():
        value = value * 62 + digits.index(character)
    assert before <= (value >> 128) + 1_400_000_000 <= time.time()
