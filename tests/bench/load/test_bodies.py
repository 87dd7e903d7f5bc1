from __future__ import annotations

import random

import pytest
from bench.load.bodies import PERIOD_BYTES, PIECE_BYTES, BodyCheck, pattern

BODY = b"".join(pattern(at, 40_000) for at in range(0, 400_000, 40_000))


def test_a_body_is_right_however_it_is_cut() -> None:
    cuts = random.Random(7)
    for _ in range(20):
        check, at = BodyCheck(), 0
        while at < len(BODY):
            size = cuts.choice([1, 100, 65_536, PIECE_BYTES])
            check.feed(BODY[at : at + size])
            at += size
        assert (check.right, check.wrong) == (len(BODY), False)


@pytest.mark.parametrize(
    "body",
    [
        BODY[:100_000] + b"?" + BODY[100_001:],
        BODY[:100_000] + BODY[100_001:],
        BODY[:100_000] + BODY[99_999:],
        BODY[:65_536] + BODY[131_072:],
        BODY[65_536:131_072] + BODY[:65_536] + BODY[131_072:],
        bytes(len(BODY)),
    ],
    ids=[
        "a byte is another",
        "a byte is lost",
        "a byte is doubled",
        "a block is lost",
        "blocks are swapped",
        "nothing is right",
    ],
)
def test_a_body_that_is_not_the_pattern_is_wrong(body: bytes) -> None:
    check = BodyCheck()
    for at in range(0, len(body), 65_536):
        check.feed(body[at : at + 65_536])
    assert check.wrong
    assert check.right < len(BODY)


def test_a_block_of_any_usual_size_does_not_fit_elsewhere() -> None:
    assert all(size % PERIOD_BYTES for size in (4096, 8192, 16_384, 65_536, PIECE_BYTES, 1 << 20))
