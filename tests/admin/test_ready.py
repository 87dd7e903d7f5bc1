from __future__ import annotations

from pathlib import Path

import pytest
from tests.admin.api_under_test import Api, run

from headgate.admin.access import AccessRules
from headgate.admin.ready import Readiness, Status, create_ready_router
from headgate.config.settings import AdminKey

URL = "http://127.0.0.1:9180/headgate/ready"
KEYED = AccessRules(keys=(AdminKey(name="ops", key="secret-of-ops", role="admin"),))


@pytest.mark.parametrize(("status", "code"), [("starting", 503), ("ready", 200), ("draining", 503)])
@pytest.mark.parametrize("access", [AccessRules(), KEYED])
def test_everybody_is_told(data_dir: Path, access: AccessRules, status: Status, code: int) -> None:
    readiness = Readiness()
    assert readiness.status == "starting"
    readiness.status = status

    async def scenario(api: Api) -> None:
        foreign = {"Host": "balancer.example", "Origin": "http://elsewhere", "X-Forwarded-For": "192.0.2.1"}
        for headers in ({}, foreign):
            for url in (URL, URL + "/"):
                answer = await api.client.get(url, headers=headers)
                assert (answer.status_code, answer.json()) == (code, {"status": status})
                assert answer.headers["cache-control"] == "no-store"
                assert (await api.client.head(url, headers=headers)).status_code == code

    run(data_dir, scenario, access=access, extra=[create_ready_router(readiness)])


def test_other_methods_are_under_the_rules_and_not_there(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        assert (await api.client.post(URL)).status_code == 401
        assert (await api.client.post(URL, headers={"X-API-KEY": "secret-of-ops"})).status_code == 404

    run(data_dir, scenario, access=KEYED, extra=[create_ready_router(Readiness())])
