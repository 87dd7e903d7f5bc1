from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench.__main__ import WITHOUT_NGINX, _present, main
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS, against


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "ngnix"], "no such peer: ngnix; there are headgate, guarded, plain, nginx, bare"),
        (["--bytes", "49"], "an event has at least 50 bytes"),
        (["--rate", "often"], "invalid float value: 'often'"),
        (["--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_bad_arguments_are_told(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_a_checkout_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PeerFailedError, match=f"against: there is no headgate in {tmp_path}/src"):
        _present([PEERS["bare"], against(tmp_path)])
    assert capsys.readouterr().err == ""


def test_a_short_run_prints_the_table_and_keeps_the_figures(tmp_path: Path) -> None:
    size = ["--streams", "3", "--rate", "20", "--seconds", "0.2", "--warmup", "0", "--rounds", "1", "--tries", "2"]
    command = [sys.executable, "-m", "bench", "--only", "bare", "--results", str(tmp_path), *size]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CPU µs per event" in done.stdout
    [kept] = tmp_path.iterdir()
    assert f"raw figures: {kept}" in done.stdout


def test_without_nginx_the_run_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.peers.nginx.NGINX_PATHS", "/nonexistent")
    assert _present([PEERS["bare"], PEERS["nginx"]]) == ([PEERS["bare"]], WITHOUT_NGINX)
    assert "without it there is no ratio" in capsys.readouterr().err
