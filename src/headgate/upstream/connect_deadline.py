"""The longest time that connecting may take, on the worker's timer wheel.

It does what ``asyncio.timeout`` does; that sets a timer of the loop's own for each connection, which cost 4 % of a new
stream (user instructions, ``perf stat``).
"""

from __future__ import annotations

import asyncio

from headgate.timer_wheel import UNSCHEDULED, TimerWheel


class ConnectDeadline:
    """Cancels the task that runs now at ``due``, a reading of the wheel's clock, unless :meth:`stop` comes first."""

    __slots__ = ("_due", "_is_over", "_task", "_wheel", "wheel_slot")

    def __init__(self, wheel: TimerWheel, due: float) -> None:
        self._wheel = wheel
        self._due = due
        self._is_over = False
        self._task = asyncio.current_task()
        self.wheel_slot = UNSCHEDULED
        wheel.schedule(self, due)

    def check_deadline(self, now: float) -> float | None:
        """Cancel the task if it is time."""
        if now < self._due:
            return self._due
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        return None

    def took_effect(self) -> bool:
        """Say, of a task that was cancelled, whether it was for this alone; if so it goes on as if it had not been."""
        return self._is_over and self._task is not None and self._task.uncancel() == 0

    def stop(self) -> None:
        """Cancel nothing any more."""
        self._wheel.cancel(self)
