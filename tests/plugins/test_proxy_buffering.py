from __future__ import annotations

import pytest
from tests.plugins.plain_exchange import chain
from tests.plugins.refusals import refusal_of

from headgate.plugins.api import Chain


@pytest.mark.parametrize("conf", [{}, {"disable_proxy_buffering": True}, {"disable_proxy_buffering": False}])
def test_either_way_nothing_runs_for_it(conf: dict[str, bool]) -> None:
    assert chain(proxy_buffering=conf) == Chain()


def test_a_text_is_no_boolean() -> None:
    assert refusal_of("proxy-buffering", {"disable_proxy_buffering": "yes"}) == (
        'property "disable_proxy_buffering" validation failed: wrong type: expected boolean, got string'
    )
