"""When CPython's collector of reference cycles runs in control and in workers.

It stops the process while it looks, for 0.4 to 0.6 µs an object that it has to look at (CPython 3.11.7 without profile-guided
optimisation). A worker with 10,000 routes has 240,000 objects that live as long as it does; an open stream is 55 more. Left to itself the
collector looked at everything five times while such a table was loaded, 0.6 s of 1.8, and three times more, 0.1 s and longer each, while
3,000 streams were opened.

It cannot be left out: an exchange that has ended is a cycle, and everything that it held waits for the collector.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 3_000
"""Objects that come on top before these are looked at, in about a millisecond; CPython's own number is 700."""
YOUNG_ROUNDS = 5
"""How often they are before those that stayed are looked at once more: 15,000, in some milliseconds; CPython's own is 10."""
OLD_ROUNDS = 33
"""How often that is done before everything is looked at that is not frozen: after half a million objects on top, those of 9,000 streams;
CPython's own is 10, which makes 70,000. More would keep more of what has ended: half a million objects are up to 100 MiB."""


def hold_off() -> None:
    """Collect nothing while what will stay is being made. Ends with :func:`settle`."""
    gc.disable()


def settle() -> None:
    """Never look again at what there is now, and from now on look at the rest more seldom and at more at once.

    What is frozen is still freed once nothing refers to it, as routes are that are replaced: these are in no cycle. Nothing is
    collected first: of 44,000 objects that a worker has loaded 300 would go, and with 10,000 routes looking takes 0.1 s.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, OLD_ROUNDS)
    gc.enable()
