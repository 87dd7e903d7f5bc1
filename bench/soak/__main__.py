"""``python -m bench.soak``: whether a gateway to which everything happens loses an event, hides an end, or grows.

A real ``headgate run`` between two origins and some thousand visitors, for so many minutes: clients leave in every phase, come
back and resume, read slowly or not at all; upstreams break off, die and come back; routes are written; and every 30 s the
gateway is reloaded. Every event is numbered and has a checksum, and every visitor checks that between the first and the last event
of a connection none is lost, doubled, out of order or damaged, that a resumed stream goes on where it was, and that a stream that did not
come to its end was visibly cut or had it announced. Anything else is a violation.

Exit code 0: no violation; 1: violations; 2: something did not start or broke down.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from pathlib import Path

from bench.load.orders import LoadFailedError
from bench.soak.course import run_soak
from bench.soak.gateway import GatewayFailedError
from bench.soak.kinds import KINDS
from bench.soak.plan import Plan

from bench.soak import report

RESULTS = Path(__file__).parents[1] / "results"
VIOLATED, FAILED = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Soak, print and save; give the exit code."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))  # so that what was started is ended
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup: the gateway's SIGHUP would be too
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = Plan(
        minutes=options.minutes,
        streams=options.streams,
        workers=options.workers,
        reload_every_s=options.reload_every,
        kinds=[name for name in KINDS if name not in options.without],
    )
    try:
        found = run_soak(plan)
    except (GatewayFailedError, LoadFailedError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    print(f"\n{report.text(found)}\n\nraw figures: {report.save(options.results, found)}")
    return VIOLATED if found.violated else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--streams", type=int, default=2000, help="visitors, each with one stream (default 2000)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument(
        "--reload-every", type=float, default=30, metavar="SECONDS", help="period of SIGHUP, 0 = never (default 30)"
    )
    parser.add_argument(
        "--without",
        type=_kinds,
        default=[],
        metavar="KINDS",
        help=f"kinds of streams to leave out, of {','.join(KINDS)}",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory for the raw figures")
    return parser.parse_args(arguments)


def _kinds(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such kind: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
