from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from headgate.config.matching import HostPattern, HostPatterns, Methods, PathPattern, PathPatterns, RemoteAddress

ADAPTERS: dict[str, TypeAdapter[object]] = {
    "host": TypeAdapter(HostPattern),
    "hosts": TypeAdapter(HostPatterns),
    "methods": TypeAdapter(Methods),
    "path": TypeAdapter(PathPattern),
    "paths": TypeAdapter(PathPatterns),
    "address": TypeAdapter(RemoteAddress),
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("host", host) for host in ("a.com", "*.a.com", "*", "*a.com", "127.0.0.1", "[::1]", "a_b.C-1:80")),
        ("hosts", ["a.com", "*.a.com"]),
        ("methods", []),
        ("methods", ["GET", "PURGE"]),
        ("path", "/a/*"),
        ("path", "/" * 4096),
        ("paths", ["/a", "/b"]),
        *(("address", text) for text in ("127.0.0.1", "10.1.2.3/8", "0.0.0.0/0", "::1", "::/0", "fe80::1/128")),
    ],
)
def test_good_values(field: str, value: object) -> None:
    assert ADAPTERS[field].validate_python(value, strict=True) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("host", host) for host in ("", "a.*.foo.com", "*.a.*.foo.com", "**", "a b", "a.com\n", "a/b", "ä.de")),
        ("hosts", []),
        ("hosts", ["a.com", "a.com"]),
        ("methods", ["get"]),
        ("methods", ["GET", "GET"]),
        ("path", ""),
        ("path", "/" * 4097),
        ("paths", []),
        ("paths", ["/a", "/a"]),
        *(("address", text) for text in ("", "localhost", "127.0.0.1/33", "::1/129", "10.0.0.0/255.0.0.0", "::1/")),
        *(("address", text) for text in ("fe80::1%eth0", "127.0.0.1/-1", "127.0.0.1/\uff18", "[::1]", "127.0.0.1/8/8")),
    ],
)
def test_bad_values(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTERS[field].validate_python(value, strict=True)
