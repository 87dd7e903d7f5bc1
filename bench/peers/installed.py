"""What of the peers is installed, and the one line that installs what is not."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

PATHS = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
"""Where programs are looked for: root's directories too, as Debian puts servers there."""


def program(name: str) -> str | None:
    """Give a program's path, None where there is none."""
    return shutil.which(name, path=PATHS)


def missing_program(title: str, name: str, *, package: str) -> str | None:
    """Say how to install the Debian package that brings a program, None if it is there."""
    if program(name) is not None:
        return None
    return f"{title} is not installed: sudo apt-get install --no-install-recommends {package}"


def missing_packages(title: str, *names: str) -> str | None:
    """Say how to install what a peer in Python needs, None if all of it is there; ``names`` as on PyPI."""
    lacking = [name for name in names if _version(name) is None]
    if not lacking:
        return None
    return f"{title} needs {', '.join(lacking)}: {sys.executable} -m pip install --editable '.[bench]'"


def versions(*names: str) -> str:
    """Give the versions of Python packages, as ``aiohttp 3.14, uvloop 0.22``."""
    return ", ".join(f"{name} {_version(name)}" for name in names)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
