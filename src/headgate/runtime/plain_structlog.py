"""Loads structlog without rich, which it takes along wherever that is installed, to draw tracebacks on terminals.

Control and workers write JSON lines; rich is there because the command line needs it. Loading it takes 45 ms of the 360 of a worker's
imports, and 5 MiB. This module is imported before all others by the modules that run as processes.
"""

from __future__ import annotations

import sys
from typing import Any

if "rich" not in sys.modules:
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None  # what an import statement takes as "not there"
    import structlog  # noqa: F401

    del modules["rich"]
