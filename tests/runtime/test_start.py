from __future__ import annotations

import os
import tempfile

import pytest

from headgate.runtime.start import Start, read_whole, write_whole


def test_the_argument_carries_everything() -> None:
    start = Start(channel=3, settings=4, counters=[5, 6], worker=1, listen=[7], admin=[8], metrics=[9])
    assert Start.from_argument(start.to_argument()) == start
    assert start.descriptors() == [3, 4, 5, 6, 7, 8, 9]
    assert start.slot() == 1


def test_control_has_no_slot() -> None:
    with pytest.raises(AssertionError):
        Start(channel=3, settings=4, counters=[]).slot()


def test_settings_are_read_whole_however_often() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b'{"a": 1}' * 1000)
        file.flush()
        start = Start(channel=0, settings=file.fileno(), counters=[])
        assert start.read_settings() == start.read_settings() == b'{"a": 1}' * 1000
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 8000
        assert read_whole(file.fileno()) == b'{"a": 1}' * 1000


def test_what_is_written_whole_is_read_whole_and_not_inherited() -> None:
    descriptor = write_whole(b"secret")
    assert read_whole(descriptor) == b"secret"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
