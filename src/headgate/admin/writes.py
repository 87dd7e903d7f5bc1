"""What PUT, POST, PATCH and DELETE do to the configuration (APISIX: Admin API, ``admin/resource.lua``).

Invariants: nothing here does I/O or changes the state it is given; each function gives an outcome whose writes the
caller carries out, or raises Refusal or InvalidConfiguration. A stored document has its id, create_time and
update_time, and no default that its author did not write.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from headgate.admin.answers import Outcome, Refusal, key_not_found, refuse, written
from headgate.admin.body import MISSING
from headgate.admin.patch import merge, replace_node
from headgate.admin.preconditions import Preconditions
from headgate.admin.references import check_deletable, check_references
from headgate.admin.resources import Resources
from headgate.config.change import Kind
from headgate.config.resource import SINGULAR, check_id, forbid_times
from headgate.config.store import Deletion, Item
from headgate.config.validation import PluginCatalog, validate
from headgate.config.validation_texts import wrong_type


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One write as it was asked for.

    ``resource_id`` is the id in the path, ``document`` the decoded body or MISSING, ``sub_path`` what follows the id in
    a PATCH. ``ttl_s`` is the time to live in seconds, None = for ever. ``force`` deletes what is still referred to.
    """

    kind: Kind
    resource_id: str | None
    document: object = MISSING
    sub_path: tuple[str, ...] = ()
    ttl_s: float | None = None
    force: bool = False
    preconditions: Preconditions = field(default_factory=Preconditions)


class Writer:
    """The four operations; ``plugins`` checks the plugin configurations in documents."""

    def __init__(self, plugins: PluginCatalog) -> None:
        self._plugins = plugins

    def put(self, request: WriteRequest, state: Resources) -> Outcome:
        """Store a whole document under the id in the path or in the document: 201 if it is new, else 200."""
        document = _given_document(request)
        document["id"] = check_id(request.kind, request.resource_id, document.get("id"))
        forbid_times(document)
        self._check(request.kind, document, state)
        resource_id = str(document["id"])
        old = state.get(request.kind, resource_id)
        item = _item(request, resource_id, document, old, state)
        request.preconditions.check(item.key, old)
        return written(200 if old else 201, item)

    def post(self, request: WriteRequest, state: Resources) -> Outcome:
        """Store a whole document under an id of our own, 20 digits of the write counter: 201."""
        document = _given_document(request)
        check_id(request.kind, request.resource_id, document.get("id"), wanted=False)
        forbid_times(document)
        document["id"] = _free_id(request.kind, state)
        self._check(request.kind, document, state)
        item = _item(request, document["id"], document, None, state)
        request.preconditions.check(item.key, None)
        return written(201, item)

    def patch(self, request: WriteRequest, state: Resources) -> Outcome:
        """Change a stored document in part: 200, or 404 if there is none."""
        old, document = _patched(request, state)
        document["id"] = check_id(request.kind, old.id, document.get("id"))
        self._check(request.kind, document, state)
        request.preconditions.check(old.key, old)
        return written(200, _item(request, old.id, document, old, state))

    def delete(self, request: WriteRequest, state: Resources) -> Outcome:
        """Delete a resource that nothing refers to, or any with ``force``: 200, or 404 if there is none."""
        old = _stored(request, state)
        if not request.force:
            check_deletable(old.kind, old.id, state)
        request.preconditions.check(old.key, old)
        # "1" is the number of keys deleted, a text as etcd's gateway gave it.
        return Outcome(200, {"deleted": "1", "key": old.key}, writes=(Deletion(old.kind, old.id),))

    def _check(self, kind: Kind, document: dict[str, Any], state: Resources) -> None:
        validate(kind, document, self._plugins)
        check_references(kind, document, state)


def _given_document(request: WriteRequest) -> dict[str, Any]:
    if request.document is MISSING:
        raise refuse(400, "missing configurations")
    if not isinstance(request.document, dict):
        raise refuse(400, f"invalid configuration: {wrong_type('object', request.document)}")
    return dict(request.document)


def _free_id(kind: Kind, state: Resources) -> str:
    index = state.counter + 1
    while state.get(kind, f"{index:020d}"):
        index += 1
    return f"{index:020d}"


def _stored(request: WriteRequest, state: Resources) -> Item:
    if request.resource_id is None:
        raise refuse(400, f"missing {SINGULAR[request.kind]} id")
    old = state.get(request.kind, request.resource_id)
    if old is None:
        raise Refusal(key_not_found())
    return old


def _patched(request: WriteRequest, state: Resources) -> tuple[Item, dict[str, Any]]:
    """Give the stored item and what the patch makes of its document, update_time included."""
    if request.resource_id is None:
        raise refuse(400, f"missing {SINGULAR[request.kind]} id")
    patch = request.document
    if patch is MISSING:
        raise refuse(400, "missing new configuration")
    now = int(state.clock())
    if request.sub_path:
        old = _stored(request, state)
        return old, {**replace_node(old.value, request.sub_path, patch), "update_time": now}
    if not isinstance(patch, dict):
        raise refuse(400, "invalid configuration")
    old = _stored(request, state)
    return old, {**merge(old.value, patch), "update_time": patch.get("update_time") or now}


def _item(
    request: WriteRequest, resource_id: str, document: dict[str, Any], old: Item | None, state: Resources
) -> Item:
    """Make the item to store: times filled in, indexes given."""
    now = state.clock()
    created = int(now) if old is None else old.value.get("create_time", int(now))
    value = {"create_time": created, "update_time": int(now), **document}
    index = state.counter + 1
    item = Item(request.kind, resource_id, value, index if old is None else old.created_index, index)
    return item if request.ttl_s is None else replace(item, expires_at=now + request.ttl_s)
