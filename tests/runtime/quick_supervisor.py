"""The supervisor, but reloads have less time."""

from __future__ import annotations

import sys

from headgate.runtime import reload, supervisor

if __name__ == "__main__":
    reload.WITHIN_S = 1.5
    reload.ANSWER_S = 0.5
    sys.exit(supervisor.main(sys.argv[1:]))
