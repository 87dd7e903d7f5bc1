"""The plugins of one exchange, run phase by phase: the global rules' before the route's (see ``plugins.api``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from headgate.plugins.api import Answer, Chain, Exchange, RequestPhase
from headgate.server.in_task import in_task
from headgate.wire.request import ResponseHead, UpstreamRequest


async def admit(chain: Chain, exchange: Exchange) -> Answer | None:
    """Run the phases that may answer; the first answer ends them, None = go on."""
    phase: RequestPhase
    for phases in (chain.on_request, chain.on_route):
        for phase in phases:
            result = phase(exchange)
            if result is None:
                continue
            if inspect.isawaitable(result):
                await in_task()
                result = await result
            if result is not None:
                return result
    return None


def prepare(chains: Sequence[Chain], exchange: Exchange, request: UpstreamRequest) -> UpstreamRequest:
    """Give what goes to the target that was chosen; a copy where a plugin changes it, as there may be another target."""
    own = False
    for chain in chains:
        for phase in chain.on_upstream_request:
            if not own:
                own = True
                request = UpstreamRequest(request.method, request.target, request.headers.copy(), request.host)
            phase(exchange, request)
    return request


def respond(chains: Sequence[Chain], exchange: Exchange, head: ResponseHead) -> None:
    """Let the plugins change a response's head."""
    for chain in chains:
        for phase in chain.on_response:
            phase(exchange, head)


def end(chains: Sequence[Chain], exchange: Exchange, on_defect: Callable[[Exception], None]) -> None:
    """Show the plugins an exchange that has ended; one that raises is reported and keeps nothing from the others."""
    for chain in chains:
        for phase in chain.on_end:
            try:
                phase(exchange)
            except Exception as error:  # noqa: BLE001 - reported, and the exchange has ended already
                on_defect(error)
