from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from headgate.config.node import Endpoint, Node, Nodes, endpoints, parse_node

NODES: TypeAdapter[dict[str, int] | list[Node]] = TypeAdapter(Nodes)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("127.0.0.1", "127.0.0.1", None),
        ("my_service.local:1", "my_service.local", 1),
        ("httpbin.org:65535", "httpbin.org", 65535),
        ("[::1]:80", "::1", 80),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[::ffff:192.0.2.1]:8", "::ffff:192.0.2.1", 8),
    ],
)
def test_good_addresses(text: str, host: str, port: int | None) -> None:
    assert parse_node(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a:0", "invalid port 0"),
        ("a:65536", "invalid port 65536"),
        ("::1", "IPv6 address must be enclosed with '[' and ']'"),
        ("::1:80", "IPv6 address must be enclosed with '[' and ']'"),
        *(
            (text, f'invalid node address "{text}"')
            for text in ("", ":80", "a:", "a:b", "a b", "*.a", "a/b", "[::1", "[a]")
        ),
        *(
            (text, f'invalid node address "{text}"')
            for text in ("127.0.0.256", "127.0.0.1:8 ", "[127.0.0.1]", "a:٣", "a\n")
        ),
    ],
)
def test_bad_addresses(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole below
        parse_node(text)
    assert str(caught.value) == complaint


def test_both_forms_come_to_one() -> None:
    mapped = NODES.validate_python({"b:1": 2, "[::1]:80": 0}, strict=True)
    listed = NODES.validate_python(
        [{"host": "b", "port": 1, "weight": 2}, {"host": "[::1]", "weight": 0, "priority": -1, "metadata": {"a": 1}}],
        strict=True,
    )
    assert list(endpoints(mapped)) == [Endpoint("b", 1, 2), Endpoint("::1", 80, 0)]
    assert list(endpoints(listed)) == [Endpoint("b", 1, 2), Endpoint("::1", None, 0, -1)]


@pytest.mark.parametrize("nodes", [{}, []])
def test_there_may_be_no_nodes(nodes: object) -> None:
    assert list(endpoints(NODES.validate_python(nodes, strict=True))) == []


def test_a_host_of_the_list_form_has_no_port() -> None:
    nodes = NODES.validate_python([{"host": "a:80", "weight": 1}], strict=True)
    with pytest.raises(ValueError, match='invalid node host "a:80": the port is a field of its own'):
        list(endpoints(nodes))


@pytest.mark.parametrize(
    "nodes",
    [
        {"a": -1},
        {"a": 1.0},
        {"a": True},
        {"a": "1"},
        {"a": None},
        [{"host": "a"}],
        [{"weight": 1}],
        [{"host": "a", "weight": 1, "port": 0}],
        [{"host": "a", "weight": 1, "port": 65536}],
        [{"host": "a b", "weight": 1}],
        [{"host": "a", "weight": 1, "extra": 1}],
        ["a:1"],
        "a:1",
        None,
    ],
)
def test_bad_nodes_have_one_text(nodes: object) -> None:
    with pytest.raises(ValidationError) as caught:
        NODES.validate_python(nodes, strict=True)
    assert [error["msg"] for error in caught.value.errors()] == ["object matches none of the required"]
