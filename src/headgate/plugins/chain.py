"""From configured plugins to the tuples of bound methods that an exchange runs through.

A plugin without ``_meta`` stands there with its own methods. Only one with ``_meta.filter`` or
``_meta.error_response`` gets wrapped methods, and only in the phases that it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from headgate.expressions.conditions import Condition
from headgate.plugins.api import Answer, Chain, Exchange, PhaseResult, Plugin, RequestPhase
from headgate.plugins.variables import ExchangeVariables

_SKIPPED: dict[str, Callable[..., Any]] = {
    "on_request": lambda: None,
    "on_route": lambda: None,
    "on_upstream_request": lambda _request: None,
    "on_response": lambda _head: None,
    "on_chunk": lambda piece: piece,
    "on_event": lambda event: event.raw,
    "on_end": lambda: None,
}
"""The phases, each with what it gives when the filter keeps the plugin out."""

_ANSWERING = frozenset({"on_request", "on_route"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredPlugin:
    """One plugin with its configuration compiled. ``condition`` and ``error_response`` come from ``_meta``."""

    plugin: Plugin
    priority: int
    condition: Condition | None = None
    error_response: str | dict[str, Any] | None = None


def build_chain(configured: Iterable[ConfiguredPlugin]) -> Chain:
    """Order plugins by falling priority (equal ones stay as given) and gather their methods by phase."""
    ordered = sorted(configured, key=lambda item: -item.priority)
    return Chain(**{phase: tuple(_methods(ordered, phase)) for phase in _SKIPPED})


def _methods(ordered: Iterable[ConfiguredPlugin], phase: str) -> Iterable[Callable[..., Any]]:
    for item in ordered:
        # A phase is a plugin's if its class defines the method: looked up here, once, and never for an exchange.
        method = getattr(item.plugin, phase, None)
        if method is None:
            continue
        if phase in _ANSWERING and item.error_response is not None:
            method = _with_error_body(method, item.error_response)
        yield method if item.condition is None else _gated(method, item.condition, item.plugin, _SKIPPED[phase])


def _gated(
    method: Callable[..., Any], condition: Condition, plugin: Plugin, skipped: Callable[..., Any]
) -> Callable[..., Any]:
    """Run a method only if the condition held when the exchange first came to a phase of the plugin, as in APISIX."""
    key = f"_meta.filter {id(plugin)}"

    def gated(exchange: Exchange, *rest: Any) -> Any:
        holds = exchange.state.get(key)
        if holds is None:
            holds = exchange.state[key] = condition.matches(ExchangeVariables(exchange))
        return method(exchange, *rest) if holds else skipped(*rest)

    return gated


def _with_error_body(method: RequestPhase, response: str | dict[str, Any]) -> RequestPhase:
    """Replace the body of an answer from 400 on: by a text, or by an object as JSON."""
    is_text = isinstance(response, str)
    body = response.encode() if isinstance(response, str) else msgspec.json.encode(response)
    content_type = (b"Content-Type", b"text/plain; charset=utf-8" if is_text else b"application/json")

    def replace(answer: Answer | None) -> Answer | None:
        if answer is None or answer.status < 400:
            return answer
        kept = tuple(field for field in answer.headers if field[0].lower() != b"content-type")
        return Answer(answer.status, body, (*kept, content_type))

    async def wait(result: Awaitable[Answer | None]) -> Answer | None:
        return replace(await result)

    def answering(exchange: Exchange) -> PhaseResult:
        result = method(exchange)
        return replace(result) if result is None or isinstance(result, Answer) else wait(result)

    return answering
