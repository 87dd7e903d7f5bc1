"""``scripts/install-debian`` with an apt-get and a systemctl that only note what they are told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "install-debian"


class Machine:
    """A directory of programs that stand before the system's, a policy-rc.d, and a log."""

    def __init__(self, directory: Path) -> None:
        self.policy = directory / "policy-rc.d"
        self.log = directory / "log"
        self.log.touch()
        self._programs = directory / "bin"
        self._programs.mkdir()
        self.has("id", "echo 0")
        self.has(
            "apt-get", f'echo "apt-get $*" >> {self.log}; [ "$1" = update ] || "$POLICY_RC_D"; echo $? >> {self.log}'
        )
        self.has("systemctl", f'echo "systemctl $*" >> {self.log}')

    def has(self, program: str, script: str) -> None:
        path = self._programs / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def install(self, *items: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": f"{self._programs}:{os.environ['PATH']}", "POLICY_RC_D": str(self.policy)}
        return subprocess.run(
            [str(SCRIPT), *items], env=environ, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_server_that_it_installs_is_neither_started_nor_enabled(machine: Machine) -> None:
    done = machine.install("no-such-server:no-such-server-program", "sh:sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.log.read_text().splitlines() == [
        "apt-get update -qq",
        "0",
        "apt-get install -y -qq --no-install-recommends no-such-server",
        "101",
        "systemctl is-enabled --quiet no-such-server-program.service",
        "systemctl disable --quiet no-such-server-program.service",
    ]
    assert not machine.policy.exists()


def test_the_machines_own_policy_is_left_as_it_is(machine: Machine) -> None:
    machine.policy.write_text("#!/bin/sh\nexit 104\n")
    machine.policy.chmod(0o755)
    assert machine.install("no-such-server:").returncode == 0
    assert "104" in machine.log.read_text().splitlines()
    assert machine.policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_the_policy_goes_when_the_installation_fails(machine: Machine) -> None:
    machine.has("apt-get", '[ "$1" = update ] || [ ! -x "$POLICY_RC_D" ]')
    assert machine.install("no-such-server:").returncode != 0
    assert not machine.policy.exists()


def test_nothing_is_done_where_nothing_is_missing(machine: Machine) -> None:
    assert machine.install("sh:sh", "coreutils:ls").returncode == 0
    assert machine.log.read_text() == ""


def test_who_may_not_install_is_told_the_line(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("sudo", "exit 1")
    done = machine.install("no-such-server:no-such-server-program")
    assert done.returncode == 1
    assert done.stderr == ("missing on this machine: no-such-server. Run: sudo apt-get install -y no-such-server\n")
