from __future__ import annotations

import pytest

from headgate.admin.answers import error
from headgate.admin.unserved import UNSERVED, unserved


@pytest.mark.parametrize("resource", sorted(UNSERVED))
def test_what_apisix_has_and_headgate_has_not_is_501(resource: str) -> None:
    assert unserved(resource) == error(501, f"resource {resource} is not served by this version of headgate")


def test_what_nobody_has_is_404() -> None:
    assert unserved("routs") == error(404, "Unsupported resource type: routs")
