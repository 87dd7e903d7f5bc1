"""Work that becomes a task only where it has to wait.

Most requests find a pooled connection and plugins that answer at once: their way up is run as a call. A task for each would
cost a tenth of a small request (``create_task``, its callbacks and a turn of the loop).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")
Work = Coroutine[Any, Any, None]


class _InTask:
    def __await__(self) -> Generator[None, None, None]:
        yield


def in_task() -> Awaitable[None]:
    """Go on in a task: to be awaited before anything that waits, as that needs one. In a task it costs a turn of the loop."""
    return _InTask()


def run(work: Work, make_task: Callable[[Work], T]) -> T | None:
    """Run ``work`` up to its end or to its first :func:`in_task`, from where ``make_task`` has it go on; give that task."""
    try:
        work.send(None)
    except StopIteration:
        return None
    return make_task(work)
