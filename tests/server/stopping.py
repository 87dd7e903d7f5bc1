"""A gateway that stops while a test looks on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.running_gateway import RunningGateway, eventually

LONG_S = 25.0
"""A window that no test waits for."""


@contextmanager
def stopping(gateway: RunningGateway, **times: float) -> Iterator[None]:
    """Stop the gateway meanwhile; the block begins when it stops, and it has stopped when the block is left."""
    thread = threading.Thread(target=gateway.stop, kwargs=times)
    thread.start()
    eventually(lambda: gateway.gateway.is_stopping, "the stop")
    try:
        yield
    finally:
        thread.join()
