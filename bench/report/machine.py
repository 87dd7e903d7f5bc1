"""On what the figures were made."""

from __future__ import annotations

import os
import platform
import sysconfig
from importlib.metadata import version
from pathlib import Path

from bench.machine import cpu


def machine() -> dict[str, str]:
    """Give the machine's and the interpreter's properties, each by its title."""
    return {
        "CPU": cpu.model_name(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {_optimised()}",
        "uvloop": version("uvloop"),
        "httptools": version("httptools"),
    }


def _memory() -> str:
    kilobytes = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1])
    return f"{kilobytes / 1024**2:.0f} GiB"


def _optimised() -> str:
    flags = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return f"built with{'' if '--enable-optimizations' in flags else 'out'} profile-guided optimisation"
