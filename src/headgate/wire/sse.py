"""Server-Sent Events on the wire (WHATWG HTML §9.2): the one place to import them from.

Three readers of the same bytes, each doing no more than its user needs, and one writer:

=================== =============================================== ===============================
reader              gives                                           used by
=================== =============================================== ===============================
:class:`EventCounter` how many events a client has now dispatched   every relayed event stream
:class:`EventCutter`  each block with its exact bytes               routes with an event plugin
:class:`EventParser`  decoded events, as a browser sees them        whoever consumes a stream
=================== =============================================== ===============================

Invariants, kept by property tests: the counter counts what the parser dispatches, the cutter loses and changes no
byte, and none of them depends on how the bytes were cut into pieces. None does I/O, and none raises on any input, but for a
counter that was given a limit.
"""

from __future__ import annotations

from headgate.wire.sse_counter import EventCounter, EventTooLarge
from headgate.wire.sse_cutter import EventCutter
from headgate.wire.sse_event import BOM, Event, RawEvent, encode_event
from headgate.wire.sse_parser import EventParser

__all__ = ["BOM", "Event", "EventCounter", "EventCutter", "EventParser", "EventTooLarge", "RawEvent", "encode_event"]
