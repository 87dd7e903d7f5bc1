from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from headgate.config.settings import Settings


def test_exec_keeps_the_pid_and_shows_no_secret(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "listen": ["127.0.0.1:0"],
            "admin": "127.0.0.1:0",
            "admin_keys": [{"name": "me", "key": "s3cret", "role": "admin"}],
            "metrics": "off",
            "workers": 1,
            "data_dir": str(tmp_path / "data"),
        }
    )
    code = (
        "import sys; from headgate.runtime.launch import exec_supervisor;"
        "from headgate.runtime.settings_sources import SettingsSources;"
        "exec_supervisor(sys.stdin.read(), SettingsSources())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(settings.model_dump_json().encode())
        process.stdin.close()
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        assert ready["pid"] == process.pid
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"headgate.runtime.supervisor" in arguments
        assert b"s3cret" not in arguments
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
