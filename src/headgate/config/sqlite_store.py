"""The store of one node: an SQLite file in the data directory, and the lock that keeps a second headgate out.

Invariants: the directory is 0700 and its files 0600, ours alone, from the moment they exist; what is found looser is
refused, not mended, because it may have been read or changed already. WAL with ``synchronous=FULL``: SQLite syncs the
log on each commit, so an acknowledged write survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
The lock is an flock, which the kernel drops with the process however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from headgate.config.change import KINDS, Kind
from headgate.config.store import Item, StoreError, Write

SCHEMA_VERSION = 1
"""Kept in SQLite's ``user_version``; a file with a higher one is refused."""

DATABASE_NAME = "config.sqlite3"
LOCK_NAME = "config.lock"

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE items (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    created_index INTEGER NOT NULL,
    modified_index INTEGER NOT NULL,
    expires_at REAL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE counter (value INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
PRAGMA user_version = 1;
COMMIT;
"""
_LOAD = "SELECT kind, id, value, created_index, modified_index, expires_at FROM items ORDER BY created_index, id"
_PUT = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM items WHERE kind = ? AND id = ?"


class SqliteStore:
    """A :class:`headgate.config.store.Store` in ``data_dir``, which is made when it is not there.

    Raises StoreError when the directory or a file in it is open to others or cannot be used, when another headgate has
    it, and when the file is damaged, of another program or of a newer headgate. May be used from any thread, one at a
    time.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / DATABASE_NAME
        prepare_directory(data_dir)
        self._lock = _take_lock(data_dir / LOCK_NAME)
        try:
            self._database = self._open()
        except BaseException:
            os.close(self._lock)
            raise
        self._closed = False

    def load(self) -> list[Item]:
        """Read every item, oldest first."""
        with self._said("read"):
            return [_item(row) for row in self._database.execute(_LOAD)]

    def counter(self) -> int:
        """Give the write counter of the last commit, 0 on a new store."""
        with self._said("read"):
            row = self._database.execute("SELECT value FROM counter").fetchone()
            return int(row[0])

    def commit(self, writes: Sequence[Write], counter: int) -> None:
        """Store the writes and the counter as one transaction; on StoreError nothing of it is stored."""
        with self._said("write"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for write in writes:
                    self._database.execute(*_statement(write))
                self._database.execute("UPDATE counter SET value = ?", (counter,))
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file, then drop the lock."""
        if not self._closed:
            self._closed = True
            self._database.close()
            os.close(self._lock)

    def _open(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            _check_private(Path(f"{self._path}{suffix}"))
        # Made here so that it never exists with a looser mode; SQLite gives -wal and -shm the mode of the database.
        os.close(_open_private(self._path))
        with self._said("open"):
            database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                self._set_up(database)
            except BaseException:
                database.close()
                raise
            return database

    def _set_up(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was written by a newer headgate (format {version}, this one knows {SCHEMA_VERSION}): "
                "run that version, or use another data directory"
            )
        if version == 0:
            self._create(database)
        faults = [row[0] for row in database.execute("PRAGMA quick_check(1)")]
        if faults != ["ok"]:
            fault = " ".join(faults[0].split())
            raise StoreError(f"{self._path} is damaged ({fault}): restore it from a backup, or move it away")

    def _create(self, database: sqlite3.Connection) -> None:
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"{self._path} is not headgate's: move it away, or use another data directory")
        database.executescript(_SCHEMA)

    @contextmanager
    def _said(self, verb: str) -> Iterator[None]:
        """Turn what SQLite and the JSON decoder raise into a StoreError."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"cannot {verb} {self._path} ({error}): check the disk's space and the directory's permissions"
            ) from error
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise StoreError(
                f"cannot {verb} {self._path} ({error}): restore it from a backup, or move it away"
            ) from error


def prepare_directory(data_dir: Path) -> None:
    """Make the data directory with mode 0700, or check that nobody else can enter the one that is there."""
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        data_dir.mkdir(mode=0o700, exist_ok=True)
        status = data_dir.stat()
    except OSError as error:
        raise StoreError(f"cannot use data directory {data_dir} ({error.strerror}): choose another data_dir") from error
    _refuse_loose(data_dir, status, "700")


def _check_private(path: Path) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot open {path} ({error.strerror}): check who owns it") from error
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is not a regular file: move it away")
    _refuse_loose(path, status, "600")


def _refuse_loose(path: Path, status: os.stat_result, mode: str) -> None:
    if status.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to user {status.st_uid}: run headgate as that user, or chown it")
    if status.st_mode & 0o077:
        found = f"{stat.S_IMODE(status.st_mode):04o}"
        raise StoreError(f"{path} is open to other users (mode {found}): chmod {mode} {path}")


def _open_private(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open {path} ({error.strerror}): check who owns it") from error


def _take_lock(path: Path) -> int:
    _check_private(path)
    lock = _open_private(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StoreError(
            f"data directory {path.parent} is in use by another headgate (process {holder}): "
            "stop that one, or use another data_dir"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _statement(write: Write) -> tuple[str, tuple[object, ...]]:
    if not isinstance(write, Item):
        return _DELETE, (write.kind, write.id)
    text = json.dumps(write.value, separators=(",", ":"), allow_nan=False)
    row = (write.kind, write.id, text, write.created_index, write.modified_index, write.expires_at)
    return _PUT, row


def _item(row: tuple[Any, ...]) -> Item:
    kind, id_, text, created_index, modified_index, expires_at = row
    value = json.loads(text)
    if kind not in KINDS or not isinstance(value, dict):
        msg = f"no resource under {kind}/{id_}"
        raise ValueError(msg)
    return Item(cast("Kind", kind), id_, value, created_index, modified_index, expires_at)
