from __future__ import annotations

from headgate.admin.resources import Resources
from headgate.config.change import Change
from headgate.config.store import Deletion, Item

UPSTREAM = Item("upstreams", "u", {"nodes": {}}, 1, 1)
ROUTE = Item("routes", "1", {"uri": "/", "upstream_id": "u"}, 2, 5)
SHORT_LIVED = Item("routes", "2", {"uri": "/2"}, 3, 3, expires_at=100.0)


def test_what_the_store_loaded_is_there() -> None:
    state = Resources([ROUTE, UPSTREAM], 7)

    assert state.get("routes", "1") == ROUTE
    assert state.get("routes", "u") is None
    assert state.all("upstreams") == [UPSTREAM]
    assert state.counter == 7
    assert state.changes() == [UPSTREAM.change(), ROUTE.change()]


def test_an_expired_item_is_gone_at_once_and_due_for_deletion() -> None:
    now = 99.9
    state = Resources([SHORT_LIVED, ROUTE], clock=lambda: now)
    assert state.get("routes", "2") == SHORT_LIVED
    assert state.expired(now) == []
    assert state.next_expiry() == 100.0

    now = 100.0
    assert state.get("routes", "2") is None
    assert state.all("routes") == [ROUTE]
    assert state.changes() == [ROUTE.change()]
    assert state.expired(now) == [Deletion("routes", "2")]

    state.apply(state.expired(now))
    assert state.expired(now) == []
    assert state.next_expiry() is None


def test_a_write_without_time_to_live_takes_the_old_one_away() -> None:
    state = Resources([SHORT_LIVED], clock=lambda: 0.0)

    state.apply([Item("routes", "2", {"uri": "/2"}, 3, 4)])

    assert state.next_expiry() is None


def test_a_draft_changes_nothing_until_it_is_adopted() -> None:
    state = Resources([ROUTE, UPSTREAM, SHORT_LIVED], 5, clock=lambda: 0.0)
    draft = state.draft()
    newer = Item("routes", "1", {"uri": "/new"}, 2, 6)
    draft.apply([newer, Deletion("routes", "2")])

    assert (state.get("routes", "1"), state.counter, state.next_expiry()) == (ROUTE, 5, 100.0)
    assert (draft.get("routes", "1"), draft.counter, draft.next_expiry()) == (newer, 7, None)

    state.adopt(draft)
    assert (state.get("routes", "1"), state.counter, state.next_expiry()) == (newer, 7, None)


def test_a_draft_of_a_draft_that_is_dropped_leaves_no_trace() -> None:
    state = Resources([ROUTE], 5)
    first = state.draft()
    first.apply([UPSTREAM])
    second = first.draft()
    second.apply([Deletion("upstreams", "u"), Deletion("routes", "1")])

    state.adopt(first)

    assert state.changes() == [UPSTREAM.change(), ROUTE.change()]


def test_the_state_can_be_written_again_after_adopting() -> None:
    state = Resources([ROUTE], 5)
    draft = state.draft()
    draft.apply([UPSTREAM])
    state.adopt(draft)
    kept = state.draft()

    state.apply([Deletion("upstreams", "u")])

    assert state.get("upstreams", "u") is None
    assert kept.get("upstreams", "u") == UPSTREAM


def test_a_routes_file_replaces_everything_and_keeps_the_indexes_of_what_it_leaves_alone() -> None:
    state = Resources()
    state.replace_all([Change("routes", "1", {"uri": "/1"}), Change("routes", "2", {"uri": "/2"})])
    state.replace_all([Change("routes", "2", {"uri": "/2"}), Change("routes", "1", {"uri": "/x"})])
    state.replace_all([Change("routes", "1", {"uri": "/x"})])

    assert state.all("routes") == [Item("routes", "1", {"uri": "/x"}, 1, 2)]
    assert state.counter == 3
