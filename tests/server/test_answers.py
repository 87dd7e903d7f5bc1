from __future__ import annotations

import json

import pytest

from headgate.server.answers import ROUTE_NOT_FOUND, DateField, head_of, page, refusal


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (500, b"500 Internal Server Error"),
        (502, b"502 Bad Gateway"),
        (503, b"503 Service Temporarily Unavailable"),
        (504, b"504 Gateway Time-out"),
    ],
)
def test_failures_are_nginx_pages(status: int, title: bytes) -> None:
    answer = page(status)
    assert answer.status == status
    assert answer.headers == ((b"Content-Type", b"text/html; charset=utf-8"),)
    assert answer.body == (
        b"<html>\r\n<head><title>"
        + title
        + b"</title></head>\r\n<body>\r\n<center><h1>"
        + title
        + b"</h1></center>\r\n"
        b"<hr><center>headgate</center>\r\n</body>\r\n</html>\r\n"
    )


def test_refusals_are_json_with_a_newline() -> None:
    answer = refusal(400, 'a "quoted" word')
    assert (answer.status, answer.body[-1:]) == (400, b"\n")
    assert json.loads(answer.body) == {"error_msg": 'a "quoted" word'}
    assert ROUTE_NOT_FOUND.body == b'{"error_msg":"404 Route Not Found"}\n'


def test_the_head_of_an_answer() -> None:
    head = head_of(ROUTE_NOT_FOUND, b"now")
    assert (head.status, head.reason) == (404, b"Not Found")
    assert [(name, value) for _, name, value in head.headers] == [
        (b"Content-Type", b"application/json"),
        (b"Date", b"now"),
        (b"Server", b"headgate"),
    ]
    head.headers.add(b"X", b"1")
    assert len(head_of(ROUTE_NOT_FOUND, b"now").headers) == 3


def test_the_date_is_made_once_a_second() -> None:
    date = DateField()
    first = date.at(784111777.2)
    assert first == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert date.at(784111777.9) is first
    assert date.at(784111778.0) == b"Sun, 06 Nov 1994 08:49:38 GMT"
