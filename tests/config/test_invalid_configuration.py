from __future__ import annotations

from headgate.config.invalid_configuration import InvalidConfiguration


def test_a_refusal_is_its_text() -> None:
    refused = InvalidConfiguration("missing key", location=("key",))
    assert (str(refused), refused.text, refused.location) == ("missing key", "missing key", ("key",))
    assert InvalidConfiguration("x").location == ()


def test_seen_from_further_out_it_is_deeper_in() -> None:
    inner = InvalidConfiguration("missing key", location=("key",))
    outer = inner.under("routes", 0, "upstream")
    assert (outer.text, outer.location) == ("missing key", ("routes", 0, "upstream", "key"))
    assert inner.location == ("key",)
