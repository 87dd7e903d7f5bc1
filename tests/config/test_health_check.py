from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.health_check import HealthCheck


def test_defaults_are_those_of_apisix() -> None:
    checks = HealthCheck.model_validate({"active": {}, "passive": {}})
    assert checks.active is not None
    assert checks.passive is not None
    assert checks.model_dump() == {
        "active": {
            "type": "http",
            "timeout": 1,
            "concurrency": 10,
            "host": None,
            "port": None,
            "http_method": "GET",
            "http_path": "/",
            "http_req_body": "",
            "https_verify_certificate": True,
            "req_headers": None,
            "healthy": {"interval": 1, "http_statuses": [200, 302], "successes": 2},
            "unhealthy": {
                "interval": 1,
                "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505],
                "http_failures": 5,
                "tcp_failures": 2,
                "timeouts": 3,
            },
        },
        "passive": {
            "type": "http",
            "healthy": {
                "http_statuses": [*range(200, 209), 226, *range(300, 309)],
                "successes": 5,
            },
            "unhealthy": {"http_statuses": [429, 500, 503], "tcp_failures": 2, "timeouts": 7, "http_failures": 5},
        },
    }


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"passive": {}},
        {"active": {"type": "udp"}},
        {"active": {"port": 0}},
        {"active": {"req_headers": []}},
        {"active": {"healthy": {"successes": 0}}},
        {"active": {"healthy": {"successes": 255}}},
        {"active": {"healthy": {"interval": 0}}},
        {"active": {"healthy": {"http_statuses": []}}},
        {"active": {"healthy": {"http_statuses": [199]}}},
        {"active": {"healthy": {"http_statuses": [200, 200]}}},
        {"active": {}, "passive": {"unhealthy": {"timeouts": -1}}},
        {"active": {}, "passive": {"unhealthy": {"interval": 1}}},
    ],
)
def test_bad_checks(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HealthCheck.model_validate(document)


def test_passive_counts_may_be_never() -> None:
    assert HealthCheck.model_validate({"active": {}, "passive": {"unhealthy": {"timeouts": 0}}}).passive is not None
