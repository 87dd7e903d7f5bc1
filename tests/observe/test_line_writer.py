from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from headgate.observe.line_writer import CUT_MARK, GATHER_S, WRITE_BYTES, LineWriter, encode_line, encode_struct


class Pipe:
    """A pipe of one page with a reader who reads when told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.size = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)

    def read_all(self) -> bytes:
        os.close(self.writer)
        with os.fdopen(self.reader, "rb") as file:
            return file.read()


def test_a_full_pipe_drops_and_counts_and_never_blocks() -> None:
    pipe = Pipe()
    lost: list[int] = []
    writer = LineWriter(pipe.writer, on_drop=lost.append, limit_bytes=20_000)
    line = b"x" * 99 + b"\n"
    began = time.perf_counter()
    for _ in range(1000):
        writer.write(line)
    assert time.perf_counter() - began < 0.5
    # 200 lines wait, and up to two writes (81 lines) are in the pipe and counted as written by then.
    assert 1000 - 200 - 81 <= sum(lost) <= 1000 - 200
    assert writer.waiting_bytes <= 20_000
    assert not writer.close(0.01)  # the reader still does not read
    got: list[bytes] = []
    reading = threading.Thread(target=lambda: got.append(os.read(pipe.reader, 4096)))
    while not writer.close(0.1):  # it waits for the reader, or it would be done
        reading = threading.Thread(target=lambda: got.append(os.read(pipe.reader, 4096)))
        reading.start()
        reading.join()
    rest = pipe.read_all()
    assert (b"".join(got) + rest) == line * (1000 - sum(lost))


def test_a_line_after_a_silence_is_written_at_once_and_those_behind_it_together() -> None:
    reader, writer_end = os.pipe2(os.O_DIRECT)  # packet mode: one read gives what one write wrote
    writer = LineWriter(writer_end, on_drop=lambda _: None)
    for _ in range(3):
        writer.write(b"first\n")
        assert os.read(reader, 65536) == b"first\n"
        for _ in range(200):
            writer.write(b"more\n")
        packets: list[bytes] = []
        while sum(map(len, packets)) < len(b"more\n") * 200:
            packets.append(os.read(reader, 65536))
        assert b"".join(packets) == b"more\n" * 200
        assert len(packets) < 100  # one, where nobody keeps this process from writing them
        time.sleep(5 * GATHER_S)  # the silence
    assert writer.close(5)
    os.close(reader)
    os.close(writer_end)


def test_no_line_is_forgotten_whenever_it_comes(tmp_path: Path) -> None:
    """Also one that comes as the thread goes to sleep: it is written without another one behind it."""
    path = tmp_path / "log"
    writer = LineWriter(path, on_drop=lambda _: None)
    deadline = time.monotonic() + 30
    for number in range(200):
        time.sleep(GATHER_S * (number % 20) / 18)
        writer.write(b"%d\n" % number)
        if not number % 10:
            while not path.read_bytes().endswith(b"%d\n" % number):
                assert time.monotonic() < deadline
    assert writer.close(5)
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(200))


def test_writes_hold_whole_lines_of_at_most_pipe_buf() -> None:
    reader, writer_end = os.pipe2(os.O_DIRECT)  # packet mode: one read gives what one write wrote
    writer = LineWriter(writer_end, on_drop=lambda _: None)
    lines = [f"{number} ".encode() + b"x" * (number * 37 % 2000) + b"\n" for number in range(60)]
    for line in lines:
        writer.write(line)
    packets: list[bytes] = []
    while sum(map(len, packets)) < sum(map(len, lines)):
        packets.append(os.read(reader, 65536))
    assert b"".join(packets) == b"".join(lines)
    assert all(packet.endswith(b"\n") and len(packet) <= WRITE_BYTES for packet in packets)
    assert writer.close(5)
    os.close(reader)
    os.close(writer_end)


def test_lines_of_several_processes_do_not_interleave() -> None:
    reader, writer_end = os.pipe()
    code = (
        "import sys; from headgate.observe.line_writer import LineWriter, encode_line;"
        "writer = LineWriter(1, on_drop=print);"
        "[writer.write(encode_line({'from': sys.argv[1], 'n': n, 'text': 'x' * (n * 91 % 6000)})) for n in range(300)];"
        "sys.exit(not writer.close(20))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, name], stdout=writer_end) for name in "ab"]
    os.close(writer_end)
    with os.fdopen(reader, "rb") as file:
        records = [json.loads(line) for line in file]
    assert [process.wait(20) for process in writers] == [0, 0]
    for name in "ab":
        assert [record["n"] for record in records if record["from"] == name] == list(range(300))


def test_reopen_writes_what_came_before_to_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LineWriter(path, on_drop=lambda _: None)
    writer.write(b"before\n")
    path.rename(tmp_path / "rotated")
    writer.write(b"between\n")
    writer.reopen()
    writer.write(b"after\n")
    assert writer.close(5)
    assert (tmp_path / "rotated").read_bytes() == b"before\nbetween\n"
    assert path.read_bytes() == b"after\n"


def test_reopen_that_fails_keeps_the_old_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    writer = LineWriter(directory / "log", on_drop=lambda _: None)
    directory.rename(tmp_path / "moved")
    writer.reopen()
    writer.write(b"after\n")
    assert writer.close(5)
    assert (tmp_path / "moved" / "log").read_bytes() == b"after\n"
    assert "No such file" in json.loads(capfd.readouterr().err)["event"]


def test_what_cannot_be_written_is_counted() -> None:
    reader, writer_end = os.pipe()
    os.close(reader)
    lost: list[int] = []
    writer = LineWriter(writer_end, on_drop=lost.append)
    writer.write(b"nobody reads\n")
    assert writer.close(5)
    assert sum(lost) == 1
    os.close(writer_end)


def test_a_file_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LineWriter(tmp_path / "no" / "log", on_drop=lambda _: None)


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000, "\x00" * 10_000, "ü" * 10_000, '"' * 4090, "\udc80" * 10_000],
    ids=["ascii", "nul", "two-byte", "quotes", "surrogates"],
)
def test_a_long_line_is_cut_to_fit(text: str) -> None:
    line = encode_line({"path": text, "status": 200, "host": "example.org"})
    assert WRITE_BYTES - 20 <= len(line) <= WRITE_BYTES
    record = json.loads(line)
    assert record["status"] == 200
    assert record["host"] == "example.org"
    assert text.startswith(record["path"].removesuffix(CUT_MARK))
    assert record["path"].endswith(CUT_MARK)


class Told(msgspec.Struct):
    path: str
    status: int = 200
    route: str | None = None
    detail: str | msgspec.UnsetType = msgspec.UNSET


@pytest.mark.parametrize("text", ["/", "x" * 10_000, "\udc80"])
@pytest.mark.parametrize("detail", ["why", msgspec.UNSET])
def test_a_struct_is_written_as_its_fields_are(text: str, detail: str | msgspec.UnsetType) -> None:
    fields = {"path": text, "status": 200, "route": None}
    if detail is not msgspec.UNSET:
        fields["detail"] = detail
    assert encode_struct(Told(text, detail=detail)) == encode_line(fields)


def test_a_line_that_fits_is_not_cut() -> None:
    record = {"a": "x" * (WRITE_BYTES - 9)}
    line = encode_line({**record})
    assert len(line) == WRITE_BYTES
    assert json.loads(line) == record


def test_several_long_texts_are_cut() -> None:
    record = json.loads(encode_line({"a": "x" * 5000, "b": "y" * 5000, "c": "z"}))
    assert record["c"] == "z"
    assert record["a"].endswith(CUT_MARK)
    assert record["b"].endswith(CUT_MARK)


def test_a_long_line_without_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no text in it to cut"):
        encode_line({"numbers": list(range(5000))})
