"""One reload: settings are read again, new workers take over on the same sockets, old ones drain, a new control follows the old one.

Invariants: the old workers accept until all new ones do, so that no connection waits for long and none is refused; until then nothing
has changed and the reload can be given up; new workers accept nothing before all of them could, and control could. Standard library only.

    reading ──▶ loading ──all loaded──▶ opening ──all accept──▶ switching ──old accept no more──▶ control ──▶ draining ──▶ ended
       └───────────┴──────given up───────┴──────────────────────────────────────────────────────────────────▲
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Protocol

from headgate.runtime.child import Child, Progress
from headgate.runtime.control_seat import ControlSeat
from headgate.runtime.crew import Crew, LoadedSettings
from headgate.runtime.reactor import Reactor
from headgate.runtime.reload_record import ReloadRecord
from headgate.runtime.settings_reading import Reread, SettingsReading
from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.start import write_whole
from headgate.runtime.supervisor_log import log

WITHIN_S = 30.0
"""How long a step before the switch, and the start of control, may take."""
DEATHS = 5
"""A new worker that dies this often will not come up."""
ANSWER_S = 5.0
"""How long an old worker may take to say that it accepts no more; one that does not is stuck, and killed."""
WORKER_GRACE_S = 3.0
"""What a worker gets beyond its window before it is killed: it needs some 0.8 s to accept what waits, to cut and to write its log."""


class Step(Enum):
    """How far a reload is; see the module's picture."""

    READING = auto()
    LOADING = auto()
    OPENING = auto()
    SWITCHING = auto()
    CONTROL = auto()
    DRAINING = auto()
    ENDED = auto()


class House(Protocol):
    """What of the supervisor a reload works with. ``crew`` is the one that serves."""

    crew: Crew
    seat: ControlSeat
    reactor: Reactor

    def hire(self, settings: LoadedSettings) -> Crew:
        """Make a crew that counts apart from the one that serves."""

    def spawn(self, child: Child) -> None:
        """Start a process, now or as soon as there is room."""

    def hire_control(self, settings: LoadedSettings) -> Child:
        """Make a control, which waits for the order to begin."""

    def advance(self) -> None:
        """Have :meth:`Reload.advance` called, and go on where the reload has ended."""


class Reload:
    """Call :meth:`advance` after everything that happens to a child. ``record`` tells others how it goes."""

    def __init__(self, house: House, sources: SettingsSources, record: ReloadRecord) -> None:
        self.step = Step.READING
        self._crew: Crew | None = None
        self.coming_control: Child | None = None
        self.retiring: Crew | None = None
        self._house = house
        self._record = record
        self._reading: SettingsReading | None = None
        self._notes: list[str] = []
        self._began = time.monotonic()
        record.begin()
        log("info", "reloading", reload=record.number)
        try:
            self._reading = SettingsReading(house.reactor, sources, house.crew.settings.descriptor, self._take)
        except OSError as error:
            self.give_up(f"no process to read the settings: {error.strerror}")
        self._limit(WITHIN_S, (Step.READING,), lambda: self.give_up("the settings were not read in time"))

    @property
    def crews(self) -> list[Crew]:
        """The crews that run besides the one that serves."""
        return [crew for crew in (self._crew, self.retiring) if crew is not None]

    @property
    def coming(self) -> list[Child]:
        """The processes that are to take over; none any more once that is given up."""
        if self.coming_control is None or self.step is Step.DRAINING:
            return []
        return [self.coming_control, *(self._crew.workers if self._crew else ())]

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return self.step is Step.ENDED

    def reap(self) -> None:
        """Look whether the process that reads settings has ended."""
        if self._reading is not None:
            self._reading.reap()

    def kill(self) -> None:
        """Kill the process that reads settings; the crews are the supervisor's to kill."""
        if self._reading is not None:
            self._reading.kill()

    def on_failed(self, child: Child, error: str) -> bool:
        """Hear that a child cannot go on, in its own words; say whether that was this reload's business."""
        if child not in self.coming:
            return False
        self.give_up(f"{child.name}: {error}")
        return True

    def abandon(self) -> None:
        """Go no further than what is begun, as headgate stops."""
        problem = "headgate is stopping"
        self.give_up(problem)
        if self.step in (Step.SWITCHING, Step.CONTROL):
            self._record.finish([problem])
            self.step = Step.DRAINING

    def advance(self) -> None:
        """Go on as far as things are."""
        steps: Mapping[Step, Callable[[], bool]] = {
            Step.LOADING: self._open,
            Step.OPENING: self._switch,
            Step.SWITCHING: self._hand_control_over,
            Step.CONTROL: self._tell,
            Step.DRAINING: self._end,
        }
        while (step := steps.get(self.step)) is not None and step():
            pass

    def give_up(self, *problems: str) -> None:
        """Leave everything as it was, if the new workers have not taken over yet."""
        if self.step not in (Step.READING, Step.LOADING, Step.OPENING):
            return
        for problem in problems:
            log("error", f"reload given up, serving on as before: {problem}", reload=self._record.number)
        self._record.finish(problems)
        self.kill()
        was_open = self.step is Step.OPENING
        self.step = Step.DRAINING
        if self.coming_control is not None:
            self.coming_control.kill()
        self.retiring, self._crew = self._crew, None
        if self.retiring is not None and was_open:
            self._retire(self.retiring)  # some have clients already
        elif self.retiring is not None:
            self.retiring.kill()
        self._house.reactor.after(0, self._house.advance)

    # The steps; each gives whether it was taken

    def _take(self, reread: Reread) -> None:
        """Take settings that were read: start new workers with them."""
        self._reading = None
        if self.step is not Step.READING:
            return
        if reread.settings is None:
            self.give_up(*reread.problems)
            return
        for name, values in reread.kept.items():
            self._notes.append(f"{name} takes a restart, it stays as it is")
            log("warning", self._notes[-1], **values)
        settings = LoadedSettings(reread.settings, write_whole(json.dumps(reread.settings).encode()))
        self.step = Step.LOADING
        self._crew = self._house.hire(settings)
        self.coming_control = self._house.hire_control(settings)
        for child in self.coming:
            self._house.spawn(child)
        late = f"the new workers were not ready within {WITHIN_S:g} s"
        self._limit(WITHIN_S, (Step.LOADING, Step.OPENING), lambda: self.give_up(late))

    def _open(self) -> bool:
        assert self._crew is not None
        assert self.coming_control is not None
        if self._are_hopeless() or not (self._crew.are_loaded and self.coming_control.is_loaded):
            return False
        self.step = Step.OPENING
        self._crew.open()
        return True

    def _switch(self) -> bool:
        assert self._crew is not None
        if self._are_hopeless() or not self._crew.are_ready:
            return False
        self.step = Step.SWITCHING
        self.retiring, self._house.crew, self._crew = self._house.crew, self._crew, None
        self._retire(self.retiring)
        self._limit(ANSWER_S, (Step.SWITCHING,), self._kill_stuck)
        return True

    def _hand_control_over(self) -> bool:
        assert self.retiring is not None
        assert self.coming_control is not None
        if not self.retiring.have_left:
            return False
        self.step = Step.CONTROL
        successor, self.coming_control = self.coming_control, None
        self._house.seat.hand_over(successor)
        self._limit(WITHIN_S, (Step.CONTROL,), self._miss_control)
        return True

    def _tell(self) -> bool:
        if not self._house.seat.holder.is_ready:
            return False
        self.step = Step.DRAINING
        self._record.finish(notes=self._notes)
        took_s = round(time.monotonic() - self._began, 3)
        log("info", "reloaded, old workers drain", reload=self._record.number, took_s=took_s)
        return True

    def _end(self) -> bool:
        if self.coming_control is not None and self.coming_control.pid is not None:
            return False
        if self.retiring is not None:
            if not self.retiring.are_gone:
                return False
            self.retiring.settings.close()
            self.retiring = None
        self.step = Step.ENDED
        log("info", "reload ended", reload=self._record.number)
        return True

    def _miss_control(self) -> None:
        problem = f"new workers serve, but control was not ready within {WITHIN_S:g} s"
        log("error", problem, reload=self._record.number)
        self._record.finish([problem])
        self.step = Step.DRAINING
        self._house.advance()

    def _kill_stuck(self) -> None:
        assert self.retiring is not None
        for worker in self.retiring.workers:
            if worker.pid and worker.progress is not Progress.LEAVING:
                log("error", f"{worker.name} does not answer, it is killed", pid=worker.pid)
                worker.kill()

    def _are_hopeless(self) -> bool:
        hopeless = next((child for child in self.coming if child.deaths >= DEATHS), None)
        if hopeless is not None:
            self.give_up(f"{hopeless.name} does not come up")
        return hopeless is not None

    def _retire(self, crew: Crew) -> None:
        drain = self._house.crew.settings.drain
        crew.retire(window_s=drain("window_s"), idle_s=drain("idle_s"), close=False)
        self._house.reactor.after(drain("window_s") + WORKER_GRACE_S, crew.kill)

    def _limit(self, within_s: float, steps: Sequence[Step], action: Callable[[], None]) -> None:
        def look() -> None:
            if self.step in steps:
                action()

        self._house.reactor.after(within_s, look)
