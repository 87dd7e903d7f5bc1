from __future__ import annotations

from headgate.stream.ending import Ending


def test_the_words_are_the_ones_that_logs_and_metrics_promise() -> None:
    assert {str(ending) for ending in Ending} == {
        "complete",
        "upstream_eof",
        "upstream_reset",
        "upstream_stall",
        "upstream_protocol_error",
        "upstream_unreachable",
        "first_event_timeout",
        "max_duration",
        "max_bytes",
        "max_event_bytes",
        "client_gone",
        "client_stalled",
        "drain",
        "route_removed",
        "revoked",
        "killed",
        "refused",
        "gateway_error",
    }
