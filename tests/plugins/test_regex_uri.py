from __future__ import annotations

import pytest
from tests.plugins.plain_exchange import exchange

from headgate.plugins.regex_uri import RegexUri
from headgate.plugins.variables import ExchangeVariables


def rewritten(pairs: list[str], subject: bytes) -> bytes | None:
    match = RegexUri.compile(pairs).find(subject)
    if match is None:
        return None
    found, replacement = match
    return replacement.expand(ExchangeVariables(exchange(), found.groups))


@pytest.mark.parametrize(
    ("pairs", "subject", "expected"),
    [
        (["^/test/(.*)/(.*)", "/$1_$2"], b"/test/plugin/rewrite", b"/plugin_rewrite"),
        (["^/test/(.*)", "/${1}x"], b"/other", None),
        (["^/a", "/first", "/b", "/second"], b"/x/b", b"/second"),
        (["^/a", "/first", "/b", "/second"], b"/a/b", b"/first"),
        (["/(x)?y", "/$0-$1-$$1"], b"/y", b"//y--$1"),
        ([], b"/a", None),
    ],
)
def test_the_first_pattern_found_decides(pairs: list[str], subject: bytes, expected: bytes | None) -> None:
    assert rewritten(pairs, subject) == expected


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (["a", "b", "c"], "The length of regex_uri should be an even number"),
        (["(", "b"], 'invalid regex_uri((, b): invalid pattern "(": missing ): ('),
        (["(a)", "/$2"], "invalid regex_uri((a), /$2): $2 is no group of the pattern"),
        (["a", "/$uri"], "invalid regex_uri(a, /$uri): $uri is no group of the pattern"),
    ],
)
def test_refusals(pairs: list[str], text: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole text is compared below
        RegexUri.compile(pairs)
    assert str(refusal.value) == text
