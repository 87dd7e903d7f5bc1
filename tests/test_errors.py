from __future__ import annotations

import pytest

from headgate.errors import GatewayError, Source


def test_an_error_says_what_where_and_whether_to_go_on() -> None:
    error = GatewayError("connect_refused", source=Source.UPSTREAM, status=502, retryable=True, detail="10.0.0.1:80")
    assert (error.code, error.source, error.status, error.retryable) == ("connect_refused", "upstream", 502, True)
    assert str(error) == "connect_refused: 10.0.0.1:80"


def test_nothing_is_repeated_unless_said() -> None:
    error = GatewayError("protocol_error", source=Source.UPSTREAM, status=502)
    assert not error.retryable
    assert str(error) == "protocol_error"


def test_an_error_is_raised_as_it_is() -> None:
    with pytest.raises(GatewayError, match="no_upstream") as raised:
        raise GatewayError("no_upstream", source=Source.GATEWAY, status=503)
    assert raised.value.status == 503
