from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench.__main__ import FAILED, INVALID, WITHOUT_NGINX, _run, leave_out, main
from bench.cases import Case
from bench.measures.measure import Cores, Outcome
from bench.peers.peer import Peer, PeerFailedError
from bench.peers.registry import PEERS, against
from bench.results import Results, Run, load
from bench.run import Step
from tests.bench.made import case, results, runs

TINY = """
import sys
from bench.__main__ import main
from bench.cases import CASES, Case
from bench.measures.paced import PacedLoad
from bench.measures.requests import Requests
paced = PacedLoad(streams=3, rate=20, size_bytes=200, seconds=0.5, warmup_s=0.1)
requests = Requests(connections=2, seconds=0.2, warmup_s=0.1)
CASES.clear()
CASES["a"] = Case("a", "three streams", paced, ("headgate", "nginx", "bare"), run_s=1, brief=paced, brief_run_s=1)
CASES["h"] = Case("h", "two connections", requests, ("headgate", "nginx"), run_s=1, brief=requests, brief_run_s=1)
sys.exit(main())
"""


def run_tiny(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the bench on tiny cases in a process of its own, as it pins itself to a core."""
    command = [sys.executable, "-c", TINY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=Path.cwd())


def kept(directory: Path) -> Results:
    """Give the one file of results in a directory."""
    [path] = directory.glob("*.json")
    return load(path)


def report(tmp_path: Path, whole: Results, *arguments: str) -> int:
    """Save results and have them told; give the exit code."""
    path = tmp_path / "figures.json"
    whole.save(path)
    return main(["--report", str(path), *arguments])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "ngnix"], "no such peer: ngnix; there are headgate, guarded, plain,"),
        (["--cases", "a,z"], "no such case: z; there are a, b, c,"),
        (["--rounds", "0"], "rounds are a number from 1 on"),
        (["--rounds", "few"], "rounds are a number from 1 on"),
        (["--quick"], "unrecognized arguments: --quick"),
        (["--report", "/nonexistent"], "No such file or directory: '/nonexistent'"),
    ],
)
def test_bad_arguments_are_told(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_a_checkout_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PeerFailedError, match=f"against: there is no headgate in {tmp_path}/src"):
        leave_out([PEERS["bare"], against(tmp_path)])
    assert capsys.readouterr().err == ""


def test_a_peer_that_is_not_installed_is_left_out_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.peers.installed.PATHS", "/nonexistent")
    present, missing = leave_out([PEERS["bare"], PEERS["nginx"]])
    assert (list(present), list(missing)) == (["bare"], ["nginx"])
    told = capsys.readouterr().err
    assert "apt-get install" in told
    assert "without it there is no nginx to compare with" in told


def test_one_core_is_not_enough(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert main([]) == FAILED
    assert "the bench needs two cores" in capsys.readouterr().err


def test_a_short_run_tells_each_run_and_the_table_and_keeps_the_figures(tmp_path: Path) -> None:
    done = run_tiny("--results", str(tmp_path), "--rounds", "2", "--write-docs", str(tmp_path / "docs"))
    assert (done.returncode, done.stderr) == (0, "")
    whole = kept(tmp_path)
    assert [one.name for one in whole.cases] == ["a", "h"]
    for one in whole.cases:
        assert all([run.number for run in each] == [1, 2] for each in one.runs.values())
        assert all(run.valid for each in one.runs.values() for run in each)
    assert set(whole.versions) == {"headgate", "nginx", "bare"}
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 cases, about 0 minutes; raw figures: ")
    assert [line.partition(":")[0] for line in lines[1:5]] == [
        "a, round 1, headgate",
        "a, round 1, nginx",
        "a, round 1, bare",
        "a, round 2, bare",
    ]
    assert "CPU µs per event, headgate ÷ nginx" in done.stdout
    assert (tmp_path / "docs" / "performance" / "cpu-per-event.svg").exists()


def test_cases_and_peers_can_be_chosen(tmp_path: Path) -> None:
    done = run_tiny("--results", str(tmp_path), "--rounds", "1", "--cases", "h", "--only", "nginx")
    assert (done.returncode, done.stderr) == (0, "")
    [one] = kept(tmp_path).cases
    assert (one.name, list(one.runs)) == ("h", ["nginx"])


class InterruptedLater:
    """A measure whose second run is interrupted, as by Ctrl-C."""

    def __init__(self) -> None:
        self._runs = 0

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        del peer, cores
        self._runs += 1
        if self._runs == 2:
            raise KeyboardInterrupt
        return Outcome({"events_per_s": 7.0})


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted = InterruptedLater()
    one = Case("a", "title", interrupted, ("bare", "nginx"), run_s=1)
    steps = [Step(one, interrupted, [PEERS["bare"], PEERS["nginx"]], 1)] * 2
    _run(steps, Cores(0, 1), results(), tmp_path / "kept.json")
    assert "interrupted; what was measured is kept" in capsys.readouterr().err
    [found] = load(tmp_path / "kept.json").cases
    assert found.runs == {"bare": [Run(1, {"events_per_s": 7.0})], "nginx": []}


def test_nothing_to_measure_is_told(tmp_path: Path) -> None:
    done = run_tiny("--results", str(tmp_path), "--cases", "h", "--only", "bare")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "no case of these has a peer of these" in done.stderr


def events(*problems: str, failed: str = "", others_percent: float = 1) -> Sequence[Run]:
    figures = {} if failed else {"events_per_s": 10.0, "others_percent": others_percent}
    return [Run(1, figures, problems, failed)]


@pytest.mark.parametrize(
    ("peers", "missing", "code", "text"),
    [
        ({"nginx": events()}, {}, 0, ""),
        ({"nginx": events("an event was lost")}, {}, INVALID, "INVALID: what arrived was not what was sent"),
        ({"nginx": events(failed="it ended with 7")}, {}, FAILED, "a, nginx, round 1: it ended with 7"),
        ({"bare": events()}, {"nginx": "not installed"}, WITHOUT_NGINX, ""),
    ],
)
def test_the_exit_code_says_what_a_run_is_worth(
    peers: dict[str, Sequence[Run]],
    missing: dict[str, str],
    code: int,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(tmp_path, results(case("a", peers), missing=missing)) == code
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(("others_percent", "told"), [(4, False), (6, True)])
def test_a_machine_that_was_not_quiet_is_told(
    others_percent: float, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, results(case("a", {"nginx": events(others_percent=others_percent)})))
    assert ("NOT QUIET" in capsys.readouterr().out) is told


def test_a_report_writes_the_page_of_what_was_measured_before(tmp_path: Path) -> None:
    whole = results(case("f", {"nginx": runs("memory_bytes_per_stream", 5000)}))
    assert report(tmp_path, whole, "--write-docs", str(tmp_path / "docs")) == 0
    assert load(tmp_path / "docs" / "performance" / "figures.json") == whole
    assert (tmp_path / "docs" / "performance" / "memory-per-stream.svg").exists()
