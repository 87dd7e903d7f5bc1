from __future__ import annotations

import pytest

from headgate.observe.query_mask import MAX_TARGET_BYTES, mask_query


@pytest.mark.parametrize(
    ("target", "written"),
    [
        (b"/a", "/a"),
        (b"/a?", "/a?"),
        (b"/a?b=1&c", "/a?b=1&c"),
        (b"/a?token=s3cret", "/a?token=***"),
        (b"/a?token=s3cret&b=1", "/a?token=***&b=1"),
        (b"/a?b=1&ACCESS_TOKEN=s", "/a?b=1&ACCESS_TOKEN=***"),
        (b"/a?accessToken=s", "/a?accessToken=***"),
        (b"/a?api_key=s&api-key=s&apikey=s&key=s", "/a?api_key=***&api-key=***&apikey=***&key=***"),
        (b"/a?X-Amz-Signature=s&X-Amz-Credential=s", "/a?X-Amz-Signature=***&X-Amz-Credential=***"),
        (b"/a?password=p&secret=s&client_secret=s", "/a?password=***&secret=***&client_secret=***"),
        (b"/a?sig=s&signature=s&jwt=j&code=c&auth=a", "/a?sig=***&signature=***&jwt=***&code=***&auth=***"),
        (b"/a?country_code=de&monkeys=2", "/a?country_code=de&monkeys=2"),
        (b"/a?t%6Fken=s", "/a?t%6Fken=***"),
        (b"/a?token[]=s&x[token]=s&tokens=s", "/a?token[]=***&x[token]=***&tokens=***"),
        (b"/a?bearer=s&client_secret_id=s&pass=p&keys=k", "/a?bearer=***&client_secret_id=***&pass=***&keys=***"),
        (b"/a?token=a=b?c", "/a?token=***"),
        (b"/a?token=a;b", "/a?token=***"),
        (b"/a?b=1;token=a;c=2", "/a?b=1;token=***"),
        (b"/a?token", "/a?token"),
        (b"/a?token=", "/a?token=***"),
        (b"/a?\xff=1&token=\xff", "/a?\\xff=1&token=***"),
        (b"/token=1?b=2", "/token=1?b=2"),
        (b"/a?b=1?token=x", "/a?b=1?token=x"),
    ],
)
def test_masks(target: bytes, written: str) -> None:
    assert mask_query(target) == written


def test_masks_further_names() -> None:
    assert mask_query(b"/a?Ticket-Id=7&b=1", {"ticket-id"}) == "/a?Ticket-Id=***&b=1"


def test_cuts_a_long_target_before_it_masks() -> None:
    written = mask_query(b"/a?token=" + b"x" * 5000)
    assert written == "/a?token=***"
    written = mask_query(b"/" + b"x" * 5000)
    assert written == "/" + "x" * (MAX_TARGET_BYTES - 1) + "…"
