"""``headgate.reload`` in the data directory: what has become of the last reload, for ``headgate reload`` to wait on.

Invariant: whoever reads it finds a whole record or none. Standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from headgate.runtime.supervisor_log import log

NAME = "headgate.reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadState:
    """``reload`` counts the reloads of the supervisor ``pid``, from 1; 0 = none yet.

    ``problems``: why it was given up; ``notes``: what was asked for and not done. Lines for a person.
    """

    pid: int
    reload: int = 0
    state: Literal["begun", "serving", "given_up"] = "serving"
    problems: Sequence[str] = field(default_factory=list)
    notes: Sequence[str] = field(default_factory=list)


class ReloadRecord:
    """The supervisor's side: it writes."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._pid = os.getpid()
        self.number = 0
        self._write(ReloadState(pid=self._pid))

    def begin(self) -> None:
        """Say that the next reload has begun."""
        self.number += 1
        self._write(ReloadState(pid=self._pid, reload=self.number, state="begun"))

    def finish(self, problems: Sequence[str] = (), *, notes: Sequence[str] = ()) -> None:
        """Say that the new workers serve or, with ``problems``, why not."""
        state: Literal["serving", "given_up"] = "given_up" if problems else "serving"
        self._write(ReloadState(pid=self._pid, reload=self.number, state=state, problems=problems, notes=notes))

    def _write(self, state: ReloadState) -> None:
        fresh = self._path.with_suffix(".reload-new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w") as file:  # noqa: PTH123 - of a descriptor
                json.dump(asdict(state), file)
            fresh.replace(self._path)
        except OSError as error:  # the reload itself needs no file; only `headgate reload` waits for it
            log("error", f"{self._path} cannot be written: {error.strerror}")


def read(data_dir: Path, pid: int) -> ReloadState:
    """Give what is known of the reloads of the supervisor ``pid``. Raises OSError, ValueError for a file that is none of ours."""
    state = ReloadState(**json.loads((data_dir / NAME).read_text()))
    return state if state.pid == pid else ReloadState(pid=pid)
