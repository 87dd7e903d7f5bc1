from __future__ import annotations

import os

import pytest
from bench.soak.processes import Processes, Sample, slope


@pytest.mark.parametrize(
    ("points", "answer"),
    [
        ([(0.0, 5.0), (1.0, 5.0), (2.0, 5.0)], 0.0),
        ([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], 2.0),
        ([(10.0, 4.0), (20.0, 3.0)], -0.1),
        ([(0.0, 0.0), (1.0, 2.0), (2.0, 0.0)], 0.0),
        ([(3.0, 1.0), (3.0, 2.0)], 0.0),
    ],
)
def test_the_slope_is_that_of_the_least_squares(points: list[tuple[float, float]], answer: float) -> None:
    assert slope(points) == pytest.approx(answer)


def test_a_process_is_looked_at() -> None:
    processes = Processes(os.getpid())
    [own] = [sample for sample in processes.sample() if sample.role == "supervisor"]
    assert own.pid == os.getpid()
    assert own.rss_kib >= own.pss_kib > 1000
    before = own.descriptors
    with open(os.devnull, "rb"):  # noqa: PTH123 -- a descriptor, not a path, is what counts
        assert processes.sample()[0].descriptors == before + 1
    assert processes.cpu_s()["supervisor"] > 0


def sample(at_s: float, pid: int, mib: float, role: str = "worker") -> Sample:
    return Sample(at_s, role, pid, round(mib * 1024), round(mib * 512), 10, at_s / 10)


def test_growth_is_of_the_average_process_after_the_warm_up() -> None:
    processes = Processes(1)
    processes.samples = [sample(float(t), pid, 100 + t / 60 * pid) for t in range(0, 300, 5) for pid in (1, 3)]
    growth = processes.growth("worker", 120.0, 240.0)
    assert growth is not None
    assert growth.processes == 2
    assert growth.first_kib == pytest.approx(104 * 1024, abs=1)
    assert growth.last_kib == pytest.approx(108 * 1024, abs=1)
    assert growth.percent_per_minute == pytest.approx(2 / 106 * 100, rel=0.01)
    assert processes.growth("control", 0.0, 300.0) is None


def test_a_new_process_counts_when_it_has_taken_over() -> None:
    processes = Processes(1)
    old = [sample(float(t), 1, 100) for t in range(0, 100, 5)]
    new = [sample(float(t), 2, 20 if t < 55 else 100) for t in range(50, 100, 5)]
    processes.samples = [*old, *new]
    growth = processes.growth("worker", 0.0, 100.0)
    assert growth is not None
    assert growth.percent_per_minute == pytest.approx(0)


def test_the_time_on_the_cpu_of_processes_that_have_gone_is_kept() -> None:
    processes = Processes(1)
    processes.samples = [sample(10.0, 1, 50), sample(20.0, 1, 50), sample(30.0, 2, 50)]
    assert processes.cpu_s() == {"supervisor": 0, "control": 0, "worker": 5.0}
