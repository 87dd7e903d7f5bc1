"""The collector of cycles, each time in a process of its own: what is set holds for a whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SETTING = """
import gc, json
from headgate.runtime import collection
collection.hold_off()
held = gc.isenabled()
kept = [[] for _ in range(1000)]
collection.settle()
print(json.dumps([held, gc.isenabled(), gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000, gc.get_threshold()]))
"""

PUBLISHING = """
import gc, json
from headgate.config.change import Change
from headgate.plugins.catalog import Catalog
from headgate.runtime import collection
from headgate.server.generation import Generation

def write(number, times):
    upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{1 + times % 60000}": 1}}
    document = {"uri": f"/{number}/*", "plugins": {"sse": {}}, "upstream": upstream, "desc": str(times)}
    return Change("routes", str(number), document, number, times)

def publish(generation, times):
    generation = generation.with_changes([write(number, times) for number in range(ROUTES)])
    for entry in generation.entries.values():
        entry.payload.plan(generation)
    return generation

ROUTES = 50
generation = publish(Generation.empty(Catalog()), 1)
collection.settle()
gc.disable()
frozen = gc.get_freeze_count()
generation = publish(generation, 2)
counts = [len(gc.get_objects())]
for times in range(3, 203):
    generation = publish(generation, times)
    counts.append(len(gc.get_objects()))
thawed = frozen - gc.get_freeze_count()
print(json.dumps([counts[0], counts[-1], thawed, gc.collect()]))
"""


def run(program: str) -> Any:
    done = subprocess.run([sys.executable, "-P", "-c", program], check=True, capture_output=True, timeout=120)
    return json.loads(done.stdout)


def test_nothing_is_collected_until_it_settles_and_then_only_what_is_new_and_more_seldom() -> None:
    held, enabled, frozen, rest_is_small, threshold = run(SETTING)
    assert (held, enabled, frozen, rest_is_small) == (False, True, True, True)
    assert threshold[0] > 700


def test_routes_that_are_written_over_and_over_are_freed_without_a_collection() -> None:
    first, last, thawed, found = run(PUBLISHING)
    assert last - first < 500  # 200 generations of 50 routes would be more than 100,000
    assert thawed > 500  # the routes that were frozen are gone, too
    assert found < 500
