"""The answer to resources that APISIX has and headgate does not, and to those that nobody has."""

from __future__ import annotations

from headgate.admin.answers import Outcome, error

UNSERVED = frozenset(
    {
        "configs",
        "consumer_groups",
        "consumers",
        "plugin_configs",
        "plugin_metadata",
        "protos",
        "secrets",
        "ssls",
        "stream_routes",
    }
)
"""APISIX's resources that this version does not serve."""


def unserved(resource: str) -> Outcome:
    """Answer any request for a resource that is not served.

    One that APISIX has answers 501 (RFC 9110 §15.6.2), so that a client can tell it from a misspelt one (404) and from
    an empty collection.
    """
    if resource in UNSERVED:
        return error(501, f"resource {resource} is not served by this version of headgate")
    return error(404, f"Unsupported resource type: {resource}")
