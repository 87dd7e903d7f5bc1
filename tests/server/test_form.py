from __future__ import annotations

import time

import pytest

from headgate.server.form import MAX_FORM_BYTES, parse_form

URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=cut"


def part(name: bytes, value: bytes, *fields: bytes) -> bytes:
    lines = [b"--cut", b"Content-Disposition: form-data; " + name, *fields, b"", value]
    return b"\r\n".join(lines) + b"\r\n"


@pytest.mark.parametrize(
    ("content_type", "body", "form"),
    [
        (None, b"a=1", {}),
        (b"text/plain", b"a=1", {}),
        (b"", b"a=1", {}),
        (URLENCODED, b"", {}),
        (URLENCODED, b"a=1&b=2&a=3", {b"a": b"1", b"b": b"2"}),
        (b"Application/X-WWW-form-urlencoded; charset=utf-8", b"a=1", {b"a": b"1"}),
        (URLENCODED, b"a=%C3%A9+x&b&c=", {b"a": b"\xc3\xa9 x", b"b": b"", b"c": b""}),
        (URLENCODED, b"a=\xff\x00&%zz=1", {b"a": b"\xff\x00", b"%zz": b"1"}),
        (URLENCODED, b"&".join([b"a=1"] * 1001), {}),
        (MULTIPART, part(b'name="a"', b"1") + part(b'name="b"', b"2") + b"--cut--\r\n", {b"a": b"1", b"b": b"2"}),
        (MULTIPART, part(b'name="a"', b"1") + part(b'name="a"', b"2") + b"--cut--\r\n", {b"a": b"1"}),
        (MULTIPART, part(b"name=a", b"\xff\x00\xc3") + b"--cut--\r\n", {b"a": b"\xff\x00\xc3"}),
        (MULTIPART, part(b'name="a"; filename="f"', b"1", b"Content-Type: image/png") + b"--cut--\r\n", {b"a": b"1"}),
        (MULTIPART, part(b'name="a"', b"cut sho")[:-2], {b"a": b"cut sho"}),
        (MULTIPART, part(b"", b"1") + b"--cut--\r\n", {}),
        (MULTIPART, b"no part", {}),
        (b"multipart/form-data", part(b"name=a", b"1"), {}),
        (MULTIPART, part(b'name="a"', b"1", b"Content-Type: multipart/mixed; boundary=x") + b"--cut--\r\n", {}),
    ],
)
def test_forms(content_type: bytes | None, body: bytes, form: dict[bytes, bytes]) -> None:
    assert parse_form(content_type, body) == form


@pytest.mark.parametrize("name", [b'name="caf\xc3\xa9"', b'name="\xff"', b"name*=utf-8''%ff", b'name="a'])
def test_odd_names_do_no_harm(name: bytes) -> None:
    assert isinstance(parse_form(MULTIPART, part(name, b"1") + b"--cut--\r\n"), dict)


def test_parts_within_parts_cost_nothing() -> None:
    body = b""
    depth = 0
    while len(body) < MAX_FORM_BYTES:
        body += b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (depth, depth + 1)
        depth += 1
    began = time.perf_counter()
    assert parse_form(b"multipart/form-data; boundary=b0", body) == {}
    assert time.perf_counter() - began < 0.05
