from __future__ import annotations

import os
import subprocess
import sys
import time

from bench.machine import cpu


def burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


BURNING = """
import threading, time
def burn():
    until = time.thread_time() + 0.1
    while time.thread_time() < until: pass
def wait_and_burn():
    print(flush=True), go.wait(), burn(), burnt.set(), end.wait()
go, burnt, end = (threading.Event() for _ in range(3))
thread = threading.Thread(target=wait_and_burn)
thread.start(), input(), go.set(), burn(), burnt.wait()
print(flush=True), input(), end.set()
"""


def test_time_on_the_cpu_is_counted_for_all_threads() -> None:
    """In a process of its own: a thread of this one that ends meanwhile would take its time along."""
    command = [sys.executable, "-c", BURNING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        before_ns, before_ticks_s = cpu.on_cpu_ns([child.pid]), cpu.ticks_s([child.pid])
        child.stdin.write(b"\n")
        child.stdout.readline()
        assert 150e6 < cpu.on_cpu_ns([child.pid]) - before_ns < 2e9
        assert 0.1 < cpu.ticks_s([child.pid]) - before_ticks_s < 2
        child.stdin.write(b"\n")


def test_a_core_is_busy_while_it_is_used() -> None:
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, {core})
    try:
        before_s = cpu.busy_s(core)
        burn(0.1)
        assert cpu.busy_s(core) - before_s > 0.05
    finally:
        os.sched_setaffinity(0, cores)


def test_children_are_found_with_their_command_lines() -> None:
    script = "print(flush=True); input()"
    command = [sys.executable, "-c", script, "a b"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it runs: before, its command line may still be empty
        assert child.pid in cpu.children(os.getpid())
        assert cpu.command_line(child.pid) == f"{sys.executable} -c {script} a b"
        child.communicate(b"\n")
    assert child.pid not in cpu.children(os.getpid())
    assert cpu.command_line(child.pid) == ""


def test_the_processor_has_a_name() -> None:
    assert cpu.model_name()
