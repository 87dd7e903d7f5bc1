from __future__ import annotations

import platform

from bench.report.machine import machine


def test_the_machine_is_told_with_interpreter_and_loop() -> None:
    told = machine()
    assert set(told) == {"CPU", "cores", "memory", "kernel", "system", "Python", "uvloop", "httptools"}
    assert platform.python_version() in told["Python"]
    assert all(told.values())
