from __future__ import annotations

import pytest

from headgate.plugins.origins import Origins

ONE, TWO = b"http://one.example", b"https://two.example:8443"


@pytest.mark.parametrize(
    ("text", "patterns", "origin", "allowed", "varies"),
    [
        ("*", None, ONE, b"*", False),
        ("*", None, None, b"*", False),
        ("**", None, ONE, ONE, True),
        ("**", None, None, b"*", True),
        ("http://one.example", None, ONE, ONE, True),
        ("http://one.example", None, TWO, None, True),
        ("http://one.example", None, None, None, True),
        ("http://one.example,https://two.example:8443", None, TWO, TWO, True),
        ("null", None, b"null", b"null", True),
        ("*", [r".*\.test.com$"], b"http://a.test.com", b"http://a.test.com", True),
        ("*", [r".*\.test.com$"], b"http://a.test2.com", None, True),
        ("*", ["^x$", "^http://one"], ONE, ONE, True),
        ("*", ["."], None, None, True),
        (None, None, ONE, None, False),
    ],
)
def test_which_origins_are_allowed(
    text: str | None, patterns: list[str] | None, origin: bytes | None, allowed: bytes | None, *, varies: bool
) -> None:
    origins = Origins.compile(text, patterns)
    assert (origins.allowed(origin), origins.varies) == (allowed, varies)
