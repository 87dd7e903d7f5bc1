"""What goes wrong in the soak, and when: upstreams that die, reloads, writes to the Admin API.

Each disturbance has a period of its own, so that in time they meet in every order.
"""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from bench.load.orders import LoadProcess
from bench.peers.peer import free_port
from bench.soak.gateway import Gateway
from bench.soak.kinds import KINDS

WRITE_EVERY_S = 7.0
RESET_EVERY_S = 11.0
CUT_EVERY_S = 13.0
RESTART_EVERY_S = 29.0
DOWN_S = 1.5
"""How long an origin that was killed stays away: its port refuses connections meanwhile."""
BROKEN_SHARE = 0.01
"""Of an origin's streams, that one order to reset or to cut breaks."""


class Origins:
    """Two origins on ports of 127.0.0.1 that stay theirs; the second one can be killed and comes back."""

    def __init__(self) -> None:
        self.ports = [free_port() for _ in range(2)]
        self._running: list[LoadProcess | None] = [None, None]

    def __enter__(self) -> Self:
        """Start both."""
        for number in range(len(self.ports)):
            self.start(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in range(len(self.ports)):
            self.kill(number)

    def start(self, number: int) -> None:
        """Start one on its port."""
        process = LoadProcess("bench.soak.origin", self.ports[number])
        self._running[number] = process
        process.answer()

    def kill(self, number: int) -> None:
        """End one with SIGKILL; the kernel closes its connections."""
        process, self._running[number] = self._running[number], None
        if process is not None:
            process.__exit__(None, None, None)

    def break_streams(self, how: str, share: float) -> int:
        """Have each origin that runs ``reset`` or ``cut`` a share of its streams; give how many."""
        broken = 0
        for process in self._running:
            if process is not None:
                streams: int = process.ask("tell")["streams"]
                broken += process.ask(how, streams=round(streams * share))["streams"]
        return broken


class Disturbances:
    """Everything on its schedule, one after the other in :meth:`run_due`.

    ``done`` counts them, ``problems`` says what the gateway should have taken and did not.
    """

    def __init__(self, gateway: Gateway, origins: Origins, *, kinds: Sequence[str], reload_every_s: float) -> None:
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []
        self._gateway = gateway
        self._origins = origins
        self._kinds = list(kinds)
        self._writes = 0
        now = time.monotonic()
        every: list[tuple[float, Callable[[], None]]] = [
            (WRITE_EVERY_S, self._write),
            (RESET_EVERY_S, lambda: self._break("reset")),
            (CUT_EVERY_S, lambda: self._break("cut")),
            (RESTART_EVERY_S, self._kill_origin),
        ]
        if reload_every_s:
            every.append((reload_every_s, self._reload))
        self._due = [(now + period_s, period_s, action) for period_s, action in every]

    def run_due(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        due = [one for one in self._due if one[0] <= now]
        self._due = [one for one in self._due if one[0] > now]
        for at, period_s, action in due:
            if period_s:
                self._due.append((max(at + period_s, now), period_s, action))
            action()

    def write_routes(self) -> None:
        """Write the route of every kind."""
        for kind in self._kinds:
            self._put_route(kind, "as it begins")

    # -- what is done ---------------------------------------------------------------------------------------------------

    @property
    def reloads_under_way(self) -> int:
        """How many reloads were ordered and are not done."""
        return self.done["reloads"] - self._gateway.logged("reloaded")

    def _reload(self) -> None:
        if self.reloads_under_way:  # two orders that wait would be done as one, and could not be counted
            self.done["reloads put off"] += 1
            return
        self.done["reloads"] += 1
        self._gateway.reload()

    def _break(self, how: str) -> None:
        self.done[f"streams broken by {how}"] += self._origins.break_streams(how, BROKEN_SHARE)

    def _kill_origin(self) -> None:
        self.done["origins killed"] += 1
        self._origins.kill(1)
        self._due.append((time.monotonic() + DOWN_S, 0.0, lambda: self._origins.start(1)))

    def _write(self) -> None:
        """Change a running route, or add a route, or take that away."""
        self._writes += 1
        match self._writes % 3:
            case 0:
                self._put_route(self._kinds[self._writes // 3 % len(self._kinds)], f"write {self._writes}")
            case 1:
                upstream = {"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}
                self._admin("PUT", "routes/other", {"uri": f"/other/{self._writes}", "upstream": upstream})
            case 2:
                self._admin("DELETE", "routes/other")

    def _put_route(self, kind: str, words: str) -> None:
        nodes = {f"127.0.0.1:{port}": 1 for port in self._origins.ports}
        route = {"uri": f"/{kind}/*", "desc": words, "upstream": {"type": "roundrobin", "nodes": nodes}}
        self._admin("PUT", f"routes/{kind}", {**route, "plugins": KINDS[kind].plugins})

    def _admin(self, method: str, path: str, body: object = None) -> None:
        self.done["writes"] += 1
        try:
            status, text = self._gateway.admin(method, f"/apisix/admin/{path}", body)
        except (OSError, http.client.HTTPException) as error:
            self.problems.append(f"{method} {path}: {error!r}")
            return
        if status not in {200, 201}:
            self.problems.append(f"{method} {path}: {status} {text}")
