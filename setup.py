"""Compiles what runs per event and per request: by mypyc from the same source, and two functions from C.

Wheels are compiled where there is a C compiler; without one, or with ``HEADGATE_PURE=1``, headgate is installed as it is
written and does the same, slower. An editable installation is never compiled, so that what is edited is what runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGES = ("wire", "stream", "upstream", "server")
AS_WRITTEN = {
    "headgate/stream/tail.py",  # msgspec's structures are built from their annotations
    "headgate/server/stream_table.py",  # as that
    "headgate/server/gone.py",  # a class attribute that is a static method
    "headgate/upstream/pool.py",  # pools are found by weak references
}


class build_all_or_none(build_ext):  # noqa: N801 - a command is named by its class
    """Leaves nothing half compiled: the modules that mypyc makes need each other."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever is missing of a compiler, headgate runs without
            print(f"headgate is installed without its compiled form: {error}", file=sys.stderr)
            for path in self.get_outputs():
                Path(path).unlink(missing_ok=True)
            self.extensions = []


def extensions() -> list[Extension]:
    if "editable_wheel" in sys.argv or "develop" in sys.argv or os.environ.get("HEADGATE_PURE") == "1":
        return []
    try:
        from mypyc.build import mypycify  # noqa: PLC0415 - it is there only in the build's own environment
    except ImportError:
        return []
    os.chdir(Path(__file__).parent)
    os.environ["MYPYPATH"] = "src"
    paths = [path for package in PACKAGES for path in sorted(Path("src/headgate", package).glob("[!_]*.py"))]
    modules = [str(path) for path in paths if str(path.relative_to("src")) not in AS_WRITTEN]
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--explicit-package-bases"]
    in_c = [
        Extension(
            f"headgate.{name}",
            [f"src/headgate/{name.replace('.', '/')}.c"],
            extra_compile_args=["-O3"],
            py_limited_api=True,
        )
        for name in ("wire._whole_chunks", "server._send_now")
    ]
    try:
        return [
            *in_c,
            *mypycify(
                [*options, *modules, "src/headgate/timer_wheel.py"],
                opt_level="3",
                debug_level="0",
                group_name="headgate",
            ),
        ]
    except SystemExit as error:  # how mypycify says that it will not
        print(f"headgate is installed without its compiled form: mypyc gave up ({error})", file=sys.stderr)
        return []


setup(ext_modules=extensions(), cmdclass={"build_ext": build_all_or_none})
