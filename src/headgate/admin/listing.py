"""The list of a kind's resources: the filters and pages of GET (APISIX: Admin API, support filtering and paging).

Invariants: several filters all have to match; patterns run on RE2, so none can stall the process; the order is that in
which the resources were made, so that pages do not shift while others are changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import re2

from headgate.admin.answers import Outcome, Refusal, as_listed, refuse
from headgate.config.change import Kind
from headgate.config.store import Item

FILTER_FIELDS: Mapping[Kind, tuple[str, ...]] = {"routes": ("service_id", "upstream_id")}
"""The fields that ``filter=`` may name; others in it are ignored, as APISIX does."""

_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")

Match = Callable[[dict[str, Any]], bool]


def list_items(kind: Kind, items: Iterable[Item], query: Mapping[str, str]) -> Outcome:
    """Answer GET of a collection. ``query`` may hold name, label, uri, filter, page and page_size."""
    matches = _matches(kind, query)
    found = [item for item in items if all(match(item.value) for match in matches)]
    found.sort(key=lambda item: (item.created_index, item.id))
    total = len(found)
    shown = [as_listed(item) for item in found[page_of(query)]]
    return Outcome(200, {"list": shown, "total": total})


def _matches(kind: Kind, query: Mapping[str, str]) -> list[Match]:
    matches: list[Match] = []
    if "name" in query:
        name = _search("name", query["name"])
        matches.append(lambda value: "name" in value and name(value["name"]))
    if "label" in query:
        matches.append(lambda value: query["label"] in value.get("labels", {}))
    if "uri" in query:
        uri = _search("uri", query["uri"])
        matches.append(lambda value: any(uri(text) for text in _uris(value)))
    for field, wanted in dict(parse_qsl(query.get("filter", ""))).items():
        if field in FILTER_FIELDS.get(kind, ()):
            matches.append(_equal(field, wanted))
    return matches


def _uris(value: dict[str, Any]) -> list[str]:
    return [value["uri"]] if "uri" in value else value.get("uris", [])


def _equal(field: str, wanted: str) -> Match:
    return lambda value: field in value and str(value[field]) == wanted


def _search(argument: str, pattern: str) -> Callable[[str], bool]:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options=options)
    except re2.error as fault:
        raise refuse(
            400, f"invalid argument {argument}: not a regular expression that RE2 takes ({fault.args[0].decode()})"
        ) from fault
    return lambda text: compiled.search(text) is not None


def page_of(query: Mapping[str, str]) -> slice:
    """Give the page asked for; without both parameters, or without a size in digits, everything. Raises Refusal (400)."""
    if "page" not in query or not _NUMBER.fullmatch(query.get("page_size", "")):
        return slice(0, None)
    size = float(query["page_size"])
    if not 10 <= size <= 500:
        raise Refusal(Outcome(400, "page_size must be between 10 and 500"))
    page = max(1, int(float(query["page"]))) if _NUMBER.fullmatch(query["page"]) else 1
    return slice((page - 1) * int(size), page * int(size))
