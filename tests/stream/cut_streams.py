"""Streams of events, well-formed and not, in pieces cut anywhere: what property tests draw."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = [b"data", b"data:", b"data: a", b":", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"id: 7", b"event: x"]


@st.composite
def cut_streams(draw: st.DrawFn, *, starts: tuple[bytes, ...] = (b"",)) -> list[bytes]:
    """A stream in non-empty pieces."""
    stream = draw(st.sampled_from(starts)) + b"".join(draw(st.lists(st.sampled_from(WORDS), max_size=30)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [piece for piece in pieces if piece]
