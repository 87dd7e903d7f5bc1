"""What a PATCH makes of a stored document (APISIX: ``core.table.merge`` and ``core.table.patch``).

Invariant: the stored document is never changed; the result shares with it only what the patch leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headgate.admin.answers import refuse


def merge(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Merge an object into another.

    Objects merge key by key, null deletes its key, everything else replaces. An empty object replaces too: APISIX
    cannot tell it from an empty array, and ``{"plugins": {}}`` is how its users remove all plugins.
    """
    result = dict(stored)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and value:
            old = result.get(key)
            result[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result


def replace_node(stored: dict[str, Any], path: Sequence[str], value: object) -> dict[str, Any]:
    """Set the one node that ``path`` leads to, making objects on the way; null deletes it.

    Raises Refusal (400) when the way leads through what is not an object; array indexes are not supported.
    """
    result = dict(stored)
    node = result
    for depth, name in enumerate(path[:-1], 1):
        child = node.get(name, {})
        if not isinstance(child, dict):
            raise refuse(400, f"invalid sub-path: /{'/'.join(path if depth == len(path) - 1 else path[:depth])}")
        node[name] = dict(child)
        node = node[name]
    if value is None:
        node.pop(path[-1], None)
    else:
        node[path[-1]] = value
    return result
