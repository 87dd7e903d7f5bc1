"""``headgate reload`` and ``headgate drain``: find the headgate that runs on a data directory, tell it, and wait for what comes of it.

Both go through the process id in the data directory and signals, so they work as long as the supervisor does.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from headgate.config.settings_sources import load
from headgate.runtime import pid_file, reload_record
from headgate.runtime.reload_record import ReloadState

LOOK_S = 0.05
"""How often the record of reloads is looked at."""


class NodeError(Exception):
    """What was asked for has not happened; ``problems`` are lines for a person."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Node:
    """A headgate that runs; ``data_dir`` is where. Made by :func:`open_node`."""

    def __init__(self, data_dir: Path, pid: int, process: int) -> None:
        self.pid = pid
        self._data_dir = data_dir
        self._process = process
        self._ended = select.poll()
        self._ended.register(process, select.POLLIN)

    def reload(self) -> Sequence[str]:
        """Have it reloaded; return when the new workers serve. Give what was asked for and not done, as lines for a person.

        Raises NodeError with the reasons if they do not serve.
        """
        before = self._state().reload
        signal.pidfd_send_signal(self._process, signal.SIGUSR2)
        # A reload that began after the record was read has read its settings after that too.
        while (state := self._state()).reload <= before or state.state == "begun":
            if self._ended.poll(LOOK_S * 1000):
                raise NodeError("headgate has ended before it was reloaded")
        if state.problems:
            raise NodeError(*state.problems)
        return state.notes

    def drain(self) -> None:
        """Tell it to stop; return when it has ended."""
        signal.pidfd_send_signal(self._process, signal.SIGTERM)
        self._ended.poll()

    def _state(self) -> ReloadState:
        try:
            return reload_record.read(self._data_dir, self.pid)
        except (OSError, ValueError, TypeError) as error:
            raise NodeError(f"{self._data_dir / reload_record.NAME} cannot be read: {error}") from error


@contextmanager
def open_node(data_dir: Path) -> Iterator[Node]:
    """Find the headgate that runs on ``data_dir``. Raises NodeError if there is none."""
    try:
        pid = pid_file.find(data_dir)
        process = os.pidfd_open(pid)
    except (pid_file.NotFoundError, ProcessLookupError) as error:
        raise NodeError(str(error)) from error
    try:
        if pid_file.find(data_dir) != pid:  # so that the descriptor stands for the process that holds the lock
            raise NodeError(f"headgate on data directory {data_dir} has just been replaced by another, try again")
        yield Node(data_dir, pid, process)
    except pid_file.NotFoundError as error:
        raise NodeError(str(error)) from error
    except PermissionError as error:
        raise NodeError(f"headgate (process {pid}) is another user's: {error.strerror}") from error
    finally:
        os.close(process)


def find_data_dir(config: Path | None, data_dir: Path | None, environ: Mapping[str, str]) -> Path:
    """Give the data directory that ``headgate run`` would use. Raises SettingsError if the settings have to tell and cannot be used."""
    if data_dir is not None:
        return data_dir
    if named := environ.get("HEADGATE_DATA_DIR"):
        return Path(named)
    return load(config, environ, {}).data_dir
