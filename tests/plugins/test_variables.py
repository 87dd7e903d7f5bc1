from __future__ import annotations

import pytest
from tests.plugins.plain_exchange import exchange

from headgate.plugins.variables import ExchangeVariables, plugin_condition, plugin_template


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$uri", b"/a"), ("$arg_k", b"v"), ("$route_id", b"r1"), ("$0-$1-${2}", b"whole-first-"), ("$none", b"")],
)
def test_variables_of_an_exchange_and_groups(text: str, expanded: bytes) -> None:
    source = ExchangeVariables(exchange(b"/a?k=v"), (b"whole", b"first"))
    assert plugin_template(text).expand(source) == expanded


def test_conditions_on_an_exchange() -> None:
    condition = plugin_condition([["arg_k", "v"], ["route_id", "r1"]])
    assert condition.matches(ExchangeVariables(exchange(b"/?k=v")))
    assert not condition.matches(ExchangeVariables(exchange(b"/")))


def test_what_needs_the_body_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^post_arg variables are not available here: "\$post_arg_name"$'):
        plugin_template("$post_arg_name")
    with pytest.raises(ValueError, match=r"^post_arg variables are available in a route's vars only$"):
        plugin_condition([["post_arg.name", "Ada"]])
