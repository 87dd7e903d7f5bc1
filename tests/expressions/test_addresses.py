from __future__ import annotations

import pytest

from headgate.expressions.addresses import compile_addresses


@pytest.mark.parametrize(
    ("texts", "address", "answer"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["10.0.0.0/8", "::1"], "10.255.0.1", True),
        (["10.0.0.0/8", "::1"], "::1", True),
        (["10.0.0.7/8"], "10.1.1.1", True),
        (["10.0.0.0/8"], "::ffff:10.1.1.1", True),
        (["2001:db8::/32"], "2001:db8::7", True),
        (["2001:db8::/32"], "2001:db9::7", False),
        (["0.0.0.0/0"], "unix:", False),
        ([], "127.0.0.1", False),
    ],
)
def test_membership(texts: list[str], address: str, *, answer: bool) -> None:
    assert compile_addresses(texts).contain(address) is answer


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.0/33", "1.2.3"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^invalid IP address: {text}$"):
        compile_addresses([text])
