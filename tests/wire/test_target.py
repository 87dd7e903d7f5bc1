from __future__ import annotations

import re
import time
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.wire.target import BadTarget, host_of, normalise, split_absolute


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://a.example/b?c", (b"a.example", b"/b?c")),
        (b"HTTPS://a.example:8443/", (b"a.example:8443", b"/")),
        (b"http://a.example", (b"a.example", b"/")),
        (b"http://a.example?x=/y", (b"a.example", b"/?x=/y")),
        (b"http://user:pw@a.example/", (b"user:pw@a.example", b"/")),
        (b"http:///b", (b"", b"/b")),
        (b"http://[::1]:80/b", (b"[::1]:80", b"/b")),
        (b"/b", None),
        (b"*", None),
        (b"ftp://a.example/", None),
        (b"http:/a.example/", None),
        (b"/http://a.example/", None),
        (b"a.example:443", None),
    ],
)
def test_absolute_form_is_split(target: bytes, expected: tuple[bytes, bytes] | None) -> None:
    assert split_absolute(target) == expected


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"a.example", b"a.example"),
        (b"A.Example:8443", b"a.example"),
        (b"a.example.", b"a.example"),
        (b"a.example.:80", b"a.example"),
        (b"a.example:", b"a.example"),
        (b"a.example:65535", b"a.example"),
        (b"127.0.0.1:1", b"127.0.0.1"),
        (b"[::1]", b"[::1]"),
        (b"[2001:DB8::1]:443", b"[2001:db8::1]"),
        (b"under_score", b"under_score"),
        (b"xn--bcher-kva", b"xn--bcher-kva"),
    ],
)
def test_host_is_lower_case_without_port_and_final_dot(authority: bytes, host: bytes) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        b":80",
        b".",
        b".:80",
        b"a..b",
        b"a..",
        b"user@a.example",
        b"user:pw@a.example",
        b"a.example:65536",
        b"a.example:100000",
        b"a.example:8o",
        b"a.example:-1",
        b"a.example:80:80",
        b"a.example/",
        b"a.example/b",
        b"a b",
        b"a\tb",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"[::1",
        b"::1",
        b"[::1]x",
        b"[a.example]",
        b"\xc3\xa9.example",
        b"a.example\n",
    ],
)
def test_a_malformed_authority_is_refused(authority: bytes) -> None:
    with pytest.raises(BadTarget, match="host"):
        host_of(authority)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/a/b/", b"/a/b/"),
        (b"/%61%2F%62", b"/a/b"),
        (b"/x/%2e%2E/a", b"/a"),
        (b"//a///b//", b"/a/b/"),
        (b"/a/./b/.", b"/a/b/"),
        (b"/a/../b", b"/b"),
        (b"/a/b/..", b"/a/"),
        (b"/a/..", b"/"),
        (b"/.", b"/"),
        (b"//", b"/"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/a/...", b"/a/..."),
        (b"/a/..b/c", b"/a/..b/c"),
        (b"/a//../b", b"/b"),
        (b"/a%2f..%2fb", b"/b"),
        (b"/a%20b+c", b"/a b+c"),
        (b"/%25%32%65", b"/%2e"),  # decoded once
        (b"/%25zz", b"/%zz"),
        (b"/%c3%a9\xff", b"/\xc3\xa9\xff"),
        (b"/%3f%23", b"/?#"),
        (b"/a;b=c/d", b"/a;b=c/d"),
        (b"/a\\..\\b", b"/a\\..\\b"),
    ],
)
def test_paths_are_decoded_then_resolved(raw: bytes, path: bytes) -> None:
    assert normalise(raw) == path


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"/%", "percent-escape"),
        (b"/%4", "percent-escape"),
        (b"/%zz", "percent-escape"),
        (b"/a%2", "percent-escape"),
        (b"/%u0041", "percent-escape"),
        (b"/%+1", "percent-escape"),
        (b"/%00", "NUL"),
        (b"/a%00.html", "NUL"),
        (b"/a\0", "NUL"),
        (b"/..", "root"),
        (b"/../", "root"),
        (b"/../a", "root"),
        (b"/a/../../b", "root"),
        (b"/%2e%2e/a", "root"),
        (b"/a/%2e./%2E%2e/b", "root"),
        (b"//..", "root"),
        (b"/./..", "root"),
    ],
)
def test_a_path_that_two_parsers_could_read_differently_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(BadTarget, match=reason):
        normalise(raw)


def reference(raw: bytes) -> bytes | None:
    """Resolve one segment after another, by the plainest means; None = refused."""
    if re.search(rb"%(?![0-9A-Fa-f]{2})", raw):
        return None
    path = unquote_to_bytes(raw)
    if b"\0" in path:
        return None
    previous = None
    path = re.sub(rb"/+", b"/", path)
    while path != previous:
        previous = path
        path = re.sub(rb"/\.(?=/|\Z)", b"/", path)
        path = re.sub(rb"/+", b"/", path)
    previous = None
    while path != previous:
        previous = path
        if path == b"/.." or path.startswith(b"/../"):
            return None
        path = re.sub(rb"/(?!\.\.(?:/|\Z))[^/]+/\.\.(?:/|\Z)", b"/", path, count=1)
    return path


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([b"/", b"/", b".", b"..", b"a", b"b", b"%2e", b"%2F", b"%", b"%61", b"%00", b"%25", b"\xff"])
    )
)
def test_normalise_agrees_with_a_plain_reference(parts: list[bytes]) -> None:
    raw = b"/" + b"".join(parts)
    expected = reference(raw)
    if expected is None:
        with pytest.raises(BadTarget):
            normalise(raw)
    else:
        assert normalise(raw) == expected


@settings(deadline=None)
@given(st.binary().map(lambda raw: b"/" + raw))
def test_a_normalised_path_stays_as_it_is(raw: bytes) -> None:
    try:
        path = normalise(raw)
    except BadTarget:
        return
    assert path.startswith(b"/")
    assert not {b"", b".", b".."} & set(path.split(b"/")[1:-1])
    if b"%" not in path:
        assert normalise(path) == path


def seconds(raw: bytes) -> float:
    began = time.process_time()
    normalise(raw)
    return time.process_time() - began


@pytest.mark.parametrize("part", [b"/a/..", b"//", b"/.", b"%61", b"/%2e"])
def test_cost_grows_with_length_and_not_with_its_square(part: bytes) -> None:
    small, large = b"/" + part * 10_000, b"/" + part * 100_000
    # Ten times the input; a quadratic rule would take a hundred times as long.
    assert min(seconds(large) for _ in range(3)) < 40 * min(seconds(small) for _ in range(3)) + 0.01
