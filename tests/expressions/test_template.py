from __future__ import annotations

import pytest
from tests.expressions.request_source import Source, make_request

from headgate.expressions.template import compile_template

SOURCE = Source(
    make_request(b"/hello?name=json", authority=b"foo.com"),
    {b"f": b"\xfe"},
    {"route_id": b"7", "1": b"one", "2": b"two"},
)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("", b""),
        ("/plain", b"/plain"),
        ("$uri/test/add", b"/hello/test/add"),
        ("$uri/test/a${arg_name}c", b"/hello/test/ajsonc"),
        ("https://$host$request_uri", b"https://foo.com/hello?name=json"),
        ("a$arg_missing-b${http_none}c", b"a-bc"),
        (r"\$uri \${uri}", b"$uri ${uri}"),
        ("5$ $", b"5$ $"),
        ("${uri", b"${uri"),
        ("${}$$uri", b"${}$/hello"),
        ("${post_arg.f}", b"\xfe"),
        ("$route_id", b"7"),
        ("$1_${2}a-$3b", b"one_twoa-b"),
        ("é$uri", "é/hello".encode()),
        ("$urié", "/helloé".encode()),
    ],
)
def test_expansion(text: str, expanded: bytes) -> None:
    assert compile_template(text).expand(SOURCE) == expanded


def test_names_and_the_need_of_a_form() -> None:
    template = compile_template(r"$uri ${post_arg.f} \$no")
    assert (template.names, template.needs_form) == (("uri", "post_arg.f"), True)
    assert not compile_template("$uri").needs_form
