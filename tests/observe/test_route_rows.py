from __future__ import annotations

import pytest

from headgate.observe.counters import LABEL_SETS_FOLDED, Counters
from headgate.observe.histogram import read
from headgate.observe.route_rows import CODE_LABELS, CODES, LATENCY_BOUNDS, MAX_KNOWN, NODE_ROWS, ROWS


def codes(counters: Counters) -> dict[tuple[str, str, str], dict[str, int]]:
    return {labels: dict(numbers.codes) for labels, numbers in counters.read_rows()}


def test_a_row_counts_for_its_labels() -> None:
    counters = Counters.private()
    rows = counters.open_rows()
    row = rows.find("r1", "s", "10.0.0.1")
    assert rows.find("r1", "s", "10.0.0.1") is row
    counters.slots[row.code(200)] += 2
    counters.slots[row.code(503)] += 1
    counters.slots[row.ingress] += 10
    counters.slots[row.egress] += 20
    assert codes(counters) == {("", "", ""): {}, ("r1", "s", "10.0.0.1"): {"200": 2, "503": 1}}
    _, (_, numbers) = counters.read_rows()
    assert numbers.bandwidth == (("ingress", 10), ("egress", 20))


@pytest.mark.parametrize(
    ("status", "label"),
    [*((code, str(code)) for code in CODES), (100, "1xx"), (226, "2xx"), (399, "3xx"), (418, "4xx"), (599, "5xx")],
)
def test_every_status_has_a_place(status: int, label: str) -> None:
    counters = Counters.private()
    counters.slots[counters.open_rows().find("", "", "").code(status)] += 1
    assert codes(counters) == {("", "", ""): {label: 1}}


@pytest.mark.parametrize(("status", "label"), [(0, "1xx"), (99, "1xx"), (600, "5xx"), (999, "5xx")])
def test_what_is_no_status_does_no_harm(status: int, label: str) -> None:
    counters = Counters.private()
    counters.slots[counters.open_rows().find("", "", "").code(status)] += 1
    assert codes(counters) == {("", "", ""): {label: 1}}


def test_latencies_are_of_request_upstream_and_the_rest() -> None:
    counters = Counters.private()
    row = counters.open_rows().find("r", "", "")
    row.observe_latency(counters.slots, 0.150, 0.120)
    row.observe_latency(counters.slots, 0.004, None)
    _, (_, numbers) = counters.read_rows()
    seen = {name: read(numbers.values, histogram) for name, histogram in numbers.latencies}
    at = {bound: number for number, bound in enumerate(LATENCY_BOUNDS)}
    assert {name: (counts[-1], round(sum_s, 6)) for name, (counts, sum_s) in seen.items()} == {
        "request": (2, 0.154),
        "upstream": (1, 0.12),
        "apisix": (2, 0.034),
    }
    assert [seen["request"][0][at[bound]] for bound in (0.002, 0.005, 0.1, 0.2)] == [0, 1, 1, 2]
    assert [seen["apisix"][0][at[bound]] for bound in (0.002, 0.005, 0.02, 0.05)] == [0, 1, 1, 2]


def test_routes_beyond_the_rows_are_counted_together() -> None:
    counters = Counters.private()
    rows = counters.open_rows()
    for number in range(400):
        for _ in range(2):
            counters.slots[rows.find(f"r{number}", "", "").code(200)] += 1
    found = codes(counters)
    folded = 400 - (ROWS - 1)
    assert len(found) == ROWS
    assert found.pop(("", "", "")) == {"200": 2 * folded}
    assert set(found) == {(f"r{number}", "", "") for number in range(ROWS - 1)}
    assert all(count == {"200": 2} for count in found.values())
    assert counters.slots[LABEL_SETS_FOLDED] == folded  # each once


def test_nodes_that_come_and_go_leave_rows_for_routes() -> None:
    counters = Counters.private()
    rows = counters.open_rows()
    for number in range(10_000):
        counters.slots[rows.find("r", "s", f"10.0.{number // 250}.{number % 250}").code(200)] += 1
    for number in (*range(100), *range(100)):
        counters.slots[rows.find(f"late{number}", "", "10.9.9.9").code(200)] += 1
    found = codes(counters)
    assert found["r", "s", "10.0.0.0"] == {"200": 1}
    assert found["r", "s", ""] == {"200": 10_000 - (NODE_ROWS - 1)}
    late = {labels: counts for labels, counts in found.items() if labels[0].startswith("late")}
    assert late == {(f"late{number}", "", ""): {"200": 2} for number in range(100)}
    assert len(found) == NODE_ROWS + 1 + 100  # no row was taken twice
    assert counters.slots[LABEL_SETS_FOLDED] == 0
    assert len(rows._known) <= MAX_KNOWN + ROWS


def test_folding_remembers_no_more_than_it_may() -> None:
    counters = Counters.private()
    rows = counters.open_rows()
    for number in range(MAX_KNOWN + 2 * ROWS):
        counters.slots[rows.find(f"r{number}", "", "").code(200)] += 1
    assert len(rows._known) == MAX_KNOWN
    assert sum(counts["200"] for counts in codes(counters).values()) == MAX_KNOWN + 2 * ROWS


def test_the_next_worker_goes_on_with_the_rows() -> None:
    counters = Counters.private()
    dead = counters.open_rows()
    for number in range(5):
        counters.slots[dead.find(f"r{number}", "s", "n").code(200)] += 1
    counters.bury()
    rows = counters.open_rows()
    counters.slots[rows.find("r3", "s", "n").code(200)] += 1
    counters.slots[rows.find("new", "s", "n").code(200)] += 1
    found = codes(counters)
    assert [labels[0] for labels in found] == ["", "r0", "r1", "r2", "r3", "r4", "new"]
    assert (found["r3", "s", "n"], found["r4", "s", "n"]) == ({"200": 2}, {"200": 1})


def test_labels_keep_to_their_place() -> None:
    counters = Counters.private()
    rows = counters.open_rows()
    names = "r" * 64, "s" * 64, "n" * 255
    rows.find(*names)
    rows.find("next", "", "")
    (_, _), (cut, _), (after, _) = counters.read_rows()
    assert cut[:2] == names[:2]
    assert names[2].startswith(cut[2])
    assert len(cut[2]) > 100
    assert after == ("next", "", "")


def test_code_labels_differ() -> None:
    assert len(set(CODE_LABELS)) == len(CODE_LABELS) == len(CODES) + 5
