"""The course of one soak: what is started, what goes on meanwhile, and what must be true at the end."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from bench.load.orders import LoadProcess
from bench.soak.disturbances import Disturbances, Origins
from bench.soak.gateway import Gateway
from bench.soak.plan import Plan
from bench.soak.processes import ROLES, Processes

from bench.machine import cpu
from bench.soak import report

VISITOR_PROCESSES = 2
SAMPLE_EVERY_S = 5.0
TELL_EVERY_S = 15.0
SETTLE_WITHIN_S = 45.0
WARM_UP_S = 120.0
"""How long memory is not yet judged; of a soak that is shorter than six minutes, a third."""
SPARE_DESCRIPTORS = 4
"""What a process may hold at the end beyond what it held at the beginning: a file that is opened when it is first needed."""
OPEN_SHARE = 0.6
"""The least share of the visitors that must have had a stream open on average: a soak of nobody shows nothing."""
GAUGES = ("headgate_streams_open", "headgate_connections_open", "headgate_upstream_connections_open")


def run_soak(plan: Plan) -> report.Findings:
    """Soak. Raises GatewayFailedError or LoadFailedError when the gateway or the load breaks down altogether."""
    began, busy_before_s = time.monotonic(), _busy_s()
    with Course(plan) as course:
        course.run()
        course.part()
        course.close_accounts()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ours_s = sum(one.ru_utime + one.ru_stime for one in used)
    capacity_s = (time.monotonic() - began) * len(os.sched_getaffinity(0))
    course.found.others_percent = max(_busy_s() - busy_before_s - ours_s, 0.0) / capacity_s * 100
    return course.found


def _busy_s() -> float:
    return sum(cpu.busy_s(core) for core in os.sched_getaffinity(0))


class Course:
    """Origins, gateway and visitors, for a ``with`` block. ``found`` is filled as it goes on."""

    def __init__(self, plan: Plan) -> None:
        self.found = report.Findings(plan=plan)
        self._plan = plan
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start everything; visitors come as soon as the routes are there."""
        with self._stack:
            directory = Path(self._stack.enter_context(TemporaryDirectory(prefix="headgate-soak-")))
            self._origins = self._stack.enter_context(Origins())
            self._gateway = self._stack.enter_context(Gateway(directory, workers=self._plan.workers))
            self._disturbances = Disturbances(
                self._gateway, self._origins, kinds=self._plan.kinds, reload_every_s=self._plan.reload_every_s
            )
            self._disturbances.write_routes()
            self._processes = Processes(self._gateway.pid)
            at_rest = self._processes.sample()
            self._at_rest = {role: max(one.descriptors for one in at_rest if one.role == role) for role in ROLES}
            self._visitors = [self._start_visitors(number) for number in range(VISITOR_PROCESSES)]
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, exc, trace)

    def _start_visitors(self, number: int) -> LoadProcess:
        place = (self._gateway.port, number, VISITOR_PROCESSES, self._plan.streams)
        process = LoadProcess("bench.soak.visitors", *place, ",".join(self._plan.kinds))
        self._stack.enter_context(process).answer()
        return process

    # -- while it goes on -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let it all happen for the time that was asked for."""
        began = time.monotonic()
        sample_at, tell_at = began + SAMPLE_EVERY_S, began + TELL_EVERY_S
        while (now := time.monotonic()) < began + self._plan.minutes * 60:
            self._gateway.check_running()
            self._disturbances.run_due()
            if now >= sample_at:
                sample_at += SAMPLE_EVERY_S
                self._sample()
            if now >= tell_at:
                tell_at += TELL_EVERY_S
                self._tell(now - began)
            time.sleep(0.05)
        self.found.seconds = time.monotonic() - began

    def _sample(self) -> None:
        self._processes.sample()
        try:
            self.found.open_streams.append(self._gateway.metrics().get("headgate_streams_open", 0.0))
        except (OSError, HTTPException) as error:
            self.found.violation(f"metrics: {error!r}")

    def _tell(self, seconds: float) -> None:
        tally = report.add_tallies([process.ask("tell") for process in self._visitors])
        streams = self.found.open_streams[-1] if self.found.open_streams else 0
        samples = self._processes.samples
        memory = ", ".join(f"{one.role} {one.rss_kib / 1024:.0f}" for one in samples if one.at_s == samples[-1].at_s)
        told = f"{streams:.0f} streams open, {tally['events']} events checked, {tally['violated']} violations"
        print(f"{seconds:5.0f} s: {told}; RSS MiB: {memory}", flush=True)

    # -- at the end -----------------------------------------------------------------------------------------------------

    def part(self) -> None:
        """Have all visitors leave, and the origins, so that no idle connection to them is kept: nothing may stay open."""
        self.found.visitors = report.add_tallies([process.ask("finish") for process in self._visitors])
        for number in range(len(self._origins.ports)):
            self._origins.kill(number)
        deadline = time.monotonic() + SETTLE_WITHIN_S
        while left := self._left():
            if time.monotonic() > deadline:
                self.found.violation(*(f"{SETTLE_WITHIN_S:.0f} s after the last visitor: {one}" for one in left))
                break
            time.sleep(0.25)

    def _left(self) -> list[str]:
        metrics = self._gateway.metrics()
        gauges = [f"{name} {metrics.get(name, 0):.0f}" for name in GAUGES if metrics.get(name, 0)]
        many = [
            f"{one.role} has {one.descriptors} descriptors, {self._at_rest[one.role]} at the beginning"
            for one in self._processes.sample()
            if one.descriptors > self._at_rest[one.role] + SPARE_DESCRIPTORS
        ]
        return [*gauges, *many, *["a reload is under way"] * self._disturbances.reloads_under_way]

    def close_accounts(self) -> None:
        """Gather the figures, stop the gateway, and judge what it counted and logged."""
        found, processes = self.found, self._processes
        found.metrics = self._gateway.metrics()
        found.done = dict(self._disturbances.done)
        found.samples = processes.samples
        since_s = min(WARM_UP_S, self._plan.minutes * 60 / 3)
        found.growth = {role: processes.growth(role, since_s, found.seconds) for role in ROLES}
        found.cpu_s = processes.cpu_s()
        found.violated += found.visitors["violated"]
        found.violations += found.visitors["violations"]
        found.violation(*self._disturbances.problems)
        if found.mean_open_streams < self._plan.streams * OPEN_SHARE:
            found.violation(f"{found.mean_open_streams:.0f} streams open on average, of {self._plan.streams}")
        opened, ended = found.metrics.get("headgate_streams_opened_total"), sum(report.endings(found.metrics).values())
        if opened != ended:
            found.violation(f"{opened} streams opened, {ended} ended")
        began = time.monotonic()
        status = self._gateway.stop()
        found.stop_s = time.monotonic() - began
        if status:
            found.violation(f"exit status {status} when told to stop")
        found.violation(*(f"logged: {line}" for line in self._gateway.errors()))
