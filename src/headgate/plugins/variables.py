"""Variables, templates and conditions as plugins use them: read from an exchange.

A plugin never reads the request's body, so what needs it (``post_arg.*``) is refused when the plugin is configured.
"""

from __future__ import annotations

from headgate.expressions.conditions import Condition, compile_condition
from headgate.expressions.template import Template, compile_template
from headgate.plugins.api import Exchange
from headgate.wire.request import Request


class ExchangeVariables:
    """The variables of an exchange; ``$0``, ``$1`` … are the groups of a pattern that has matched before."""

    __slots__ = ("_exchange", "_groups")

    def __init__(self, exchange: Exchange, groups: tuple[bytes, ...] = ()) -> None:
        self._exchange = exchange
        self._groups = groups

    @property
    def request(self) -> Request:
        """The request as received."""
        return self._exchange.request

    @property
    def form(self) -> None:
        """Never read by plugins."""
        return None

    def extra(self, name: str) -> bytes | None:
        """Give a group of the pattern, or what the exchange knows under that name."""
        if name.isdigit():
            index = int(name)
            return self._groups[index] if index < len(self._groups) else None
        return self._exchange.variable(name)


def plugin_template(text: str) -> Template:
    """Compile a template; ValueError if it needs the request's body."""
    template = compile_template(text)
    if template.needs_form:
        raise ValueError(f'post_arg variables are not available here: "{text}"')
    return template


def plugin_condition(expression: object) -> Condition:
    """Compile a condition; ValueError with lua-resty-expr's texts, or if it needs the request's body."""
    condition = compile_condition(expression)
    if condition.needs_form:
        raise ValueError("post_arg variables are available in a route's vars only")
    return condition
