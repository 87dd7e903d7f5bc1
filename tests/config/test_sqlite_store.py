from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from headgate.config.sqlite_store import DATABASE_NAME, LOCK_NAME, SqliteStore
from headgate.config.store import Deletion, Item, StoreError

ROUTE = Item("routes", "1", {"uri": "/a", "desc": "grüß \u2028"}, 1, 1)
UPSTREAM = Item("upstreams", "u", {"nodes": {}, "retries": 0, "timeout": {"read": 0.5}}, 2, 3, expires_at=99.25)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_store_is_empty(data_dir: Path) -> None:
    with closing(SqliteStore(data_dir)) as store:
        assert store.load() == []
        assert store.counter() == 0


def test_what_was_committed_is_there_after_opening_again(data_dir: Path) -> None:
    with closing(SqliteStore(data_dir)) as store:
        store.commit([UPSTREAM, ROUTE], 3)

    with closing(SqliteStore(data_dir)) as store:
        assert store.load() == [ROUTE, UPSTREAM]
        assert store.counter() == 3


def test_a_batch_is_done_in_its_order(data_dir: Path) -> None:
    newer = Item("routes", "1", {"uri": "/b"}, 4, 4)
    with closing(SqliteStore(data_dir)) as store:
        store.commit([ROUTE, Deletion("routes", "1"), newer, Deletion("routes", "absent")], 4)

        assert store.load() == [newer]


def test_a_batch_that_fails_leaves_nothing_and_the_store_usable(data_dir: Path) -> None:
    unencodable = Item("routes", "2", {"uri": float("nan")}, 2, 2)
    with closing(SqliteStore(data_dir)) as store:
        with pytest.raises(StoreError, match=r"cannot write .*config\.sqlite3"):
            store.commit([ROUTE, unencodable], 2)

        assert store.load() == []
        assert store.counter() == 0
        store.commit([ROUTE], 1)
        assert store.load() == [ROUTE]


def test_a_write_that_the_disk_does_not_take_is_a_store_error(data_dir: Path) -> None:
    with closing(SqliteStore(data_dir)) as store:
        store._database.execute("PRAGMA max_page_count = 4")
        huge = Item("routes", "1", {"desc": "x" * 100_000}, 1, 1)

        with pytest.raises(StoreError, match=r"database or disk is full.*check the disk's space"):
            store.commit([huge], 1)

        assert store.load() == []


def test_directory_and_files_are_private_whatever_the_umask(data_dir: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SqliteStore(data_dir)) as store:
            store.commit([ROUTE], 1)
            modes = {path.name: _mode(path) for path in data_dir.iterdir()}
    finally:
        os.umask(before)

    assert _mode(data_dir) == 0o700
    names = {DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", LOCK_NAME}
    assert modes == dict.fromkeys(names, 0o600)


def test_every_commit_is_synced(data_dir: Path) -> None:
    with closing(SqliteStore(data_dir)) as store:
        assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._database.execute("PRAGMA synchronous").fetchone() == (2,)


def _loosen_directory(data_dir: Path) -> None:
    data_dir.chmod(0o750)


def _loosen(suffix: str) -> Callable[[Path], None]:
    def loosen(data_dir: Path) -> None:
        path = data_dir / f"{DATABASE_NAME}{suffix}"
        path.touch(mode=0o600)
        path.chmod(0o604)

    return loosen


def _loosen_lock(data_dir: Path) -> None:
    (data_dir / LOCK_NAME).chmod(0o666)


def _link(data_dir: Path) -> None:
    (data_dir / DATABASE_NAME).rename(data_dir / "elsewhere")
    (data_dir / DATABASE_NAME).symlink_to(data_dir / "elsewhere")


def _garbage(data_dir: Path) -> None:
    (data_dir / DATABASE_NAME).write_bytes(b"no database at all" * 100)


def _damage(data_dir: Path) -> None:
    path = data_dir / DATABASE_NAME
    content = bytearray(path.read_bytes())
    content[4096 + 8 :] = b"\xff" * (len(content) - 4096 - 8)
    path.write_bytes(content)


def _from_the_future(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as database:
        database.execute("PRAGMA user_version = 2")


def _of_another_program(data_dir: Path) -> None:
    path = data_dir / DATABASE_NAME
    path.write_bytes(b"")
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (_loosen_directory, r"/data is open to other users \(mode 0750\): chmod 700 /"),
        (_loosen(""), r"config\.sqlite3 is open to other users \(mode 0604\): chmod 600 /"),
        (_loosen("-wal"), r"config\.sqlite3-wal is open to other users \(mode 0604\): chmod 600 /"),
        (_loosen("-shm"), r"config\.sqlite3-shm is open to other users \(mode 0604\): chmod 600 /"),
        (_loosen_lock, r"config\.lock is open to other users \(mode 0666\): chmod 600 /"),
        (_link, r"config\.sqlite3 is not a regular file: move it away"),
        (_garbage, r"cannot open .*config\.sqlite3 \(file is not a database\): restore it from a backup"),
        (_damage, r"config\.sqlite3 .*restore it from a backup, or move it away"),
        (_from_the_future, r"written by a newer headgate \(format 2, this one knows 1\): run that version"),
        (_of_another_program, r"config\.sqlite3 is not headgate's: move it away"),
    ],
)
def test_a_data_directory_that_cannot_be_trusted_is_refused(
    data_dir: Path, spoil: Callable[[Path], None], text: str
) -> None:
    with closing(SqliteStore(data_dir)) as store:
        store.commit([ROUTE], 1)
    spoil(data_dir)

    with pytest.raises(StoreError, match=text):
        SqliteStore(data_dir)


@pytest.mark.parametrize("row", ["('routes', '1', 'not JSON', 1, 1, NULL)", "('rules', '1', '{}', 1, 1, NULL)"])
def test_a_row_that_is_no_resource_is_a_store_error(data_dir: Path, row: str) -> None:
    with closing(SqliteStore(data_dir)) as store:
        store._database.execute(f"INSERT INTO items VALUES {row}")

        with pytest.raises(StoreError, match=r"cannot read .*config\.sqlite3"):
            store.load()


def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"cannot use data directory .*: choose another data_dir"):
        SqliteStore(tmp_path / "file")


def test_a_second_headgate_on_the_same_directory_is_refused_until_the_first_has_gone(data_dir: Path) -> None:
    first = SqliteStore(data_dir)
    with pytest.raises(StoreError, match=rf"in use by another headgate \(process {os.getpid()}\)"):
        SqliteStore(data_dir)

    first.close()
    first.close()
    SqliteStore(data_dir).close()


WRITER = """
import sys
from pathlib import Path
from headgate.config.sqlite_store import SqliteStore
from headgate.config.store import Item

store = SqliteStore(Path(sys.argv[1]))
index = store.counter()
while True:
    pair = [Item("routes", f"{side}-{index + 1}", {"uri": "/"}, index + 1, index + 1) for side in ("left", "right")]
    store.commit(pair, index + 1)
    index += 1
    print(index, flush=True)
"""


def test_every_acknowledged_write_survives_the_death_of_the_writer(data_dir: Path) -> None:
    for acknowledgements in (1, 2, 3, 5, 8, 13, 21, 34):
        with subprocess.Popen([sys.executable, "-c", WRITER, data_dir], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(acknowledgements):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            # What it acknowledged before it died may still be in the pipe; a line cut short was never said.
            said = [line for line in writer.stdout if line.endswith("\n")]
        with closing(SqliteStore(data_dir)) as store:
            stored = {item.id for item in store.load()}
            count = store.counter()
        if said:
            assert count >= int(said[-1])
        assert count >= acknowledgements
        assert stored == {f"{side}-{index}" for side in ("left", "right") for index in range(1, count + 1)}
