from __future__ import annotations

import socket

import pytest
from tests.expressions.request_source import Source, make_request

from headgate.expressions.variables import compile_variable, needs_form

REQUEST = make_request(
    b"/a%20b//c/../d?k=v&k=second&enc=%41+b&empty=&flag&=nameless&arg_=x",
    method=b"POST",
    authority=b"Example.COM:8443",
    headers=[
        (b"X-Two", b"1"),
        (b"x-two", b"2"),
        (b"User-Agent", b"\xff raw"),
        (b"Cookie", b"a=1; session=abc=; b"),
        (b"Cookie", b"late=2"),
    ],
    remote_addr="192.0.2.7",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uri", b"/a b/d"),
        ("request_uri", REQUEST.target),
        ("host", b"example.com"),
        ("hostname", socket.gethostname().encode()),
        ("scheme", b"http"),
        ("request_method", b"POST"),
        ("remote_addr", b"192.0.2.7"),
        ("remote_port", b"40000"),
        ("server_addr", b"10.0.0.1"),
        ("server_port", b"9080"),
        ("query_string", REQUEST.query),
        ("args", REQUEST.query),
        ("is_args", b"?"),
        ("arg_k", b"v"),
        ("arg_enc", b"%41+b"),
        ("arg_empty", b""),
        ("arg_flag", b""),
        ("arg_K", None),
        ("arg_missing", None),
        ("http_x_two", b"1, 2"),
        ("http_user_agent", b"\xff raw"),
        ("http_User_Agent", b"\xff raw"),
        ("http_absent", None),
        ("http_cookie", b"a=1; session=abc=; b; late=2"),
        ("cookie_a", b"1"),
        ("cookie_session", b"abc="),
        ("cookie_late", b"2"),
        ("cookie_b", None),
        ("route_id", b"r1"),
        ("upstream_addr", None),
        ("arg_", b"asked of extra"),
        ("post_arg.name", b"Ada"),
        ("post_arg_name", b"Ada"),
        ("post_arg.other", None),
    ],
)
def test_a_variable_gives_the_raw_bytes(name: str, value: bytes | None) -> None:
    source = Source(REQUEST, {b"name": b"Ada"}, {"route_id": b"r1", "arg_": b"asked of extra"})
    assert compile_variable(name)(source) == value


@pytest.mark.parametrize("name", ["args", "query_string", "arg_k", "http_cookie", "cookie_a", "post_arg.k"])
def test_what_a_bare_request_does_not_have_is_absent(name: str) -> None:
    assert compile_variable(name)(Source()) is None


def test_is_args_is_empty_without_a_query() -> None:
    assert compile_variable("is_args")(Source()) == b""


@pytest.mark.parametrize(("name", "answer"), [("post_arg.a", True), ("post_arg_a", True), ("arg_a", False)])
def test_only_form_fields_need_the_form(name: str, *, answer: bool) -> None:
    assert needs_form(name) is answer
