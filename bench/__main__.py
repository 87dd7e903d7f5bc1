"""``python -m bench``: what one worker costs per forwarded event, beside NGINX, on this machine.

Peers: ``headgate`` as it is by default, ``guarded`` with every clock and limit of ``stream-guard`` set, ``plain`` with the clocks
and limits of the settings off, ``against`` another checkout of headgate (``--against PATH``), ``nginx``, and ``bare``, the
smallest relay in Python.

By default 1,000 streams of 10 events per second and 200 bytes, three rounds in alternating order, peers on one core and
the load on another; about two minutes. Exit code 0: measured; 1: invalid, events were lost, doubled or damaged;
2: a peer did not start, or the machine has one core; 3: measured without NGINX, which is not installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
from pathlib import Path

from bench.load.event import SMALLEST_BYTES
from bench.load.orders import LoadFailedError
from bench.measures.idle_way import run_idle
from bench.measures.measure import Cores
from bench.measures.paced import LoadFigures, Shape, run_load
from bench.peers.peer import Peer, PeerFailedError
from bench.peers.registry import PEERS, against
from bench.report import table as report

RESULTS = Path(__file__).parent / "results"
QUIET_PERCENT = 5
INVALID, FAILED, WITHOUT_NGINX = 1, 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; give the exit code."""
    options = _parse(arguments)
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        print("the bench needs two cores: one for the gateway, one for the load", file=sys.stderr)
        return FAILED
    cores = Cores(gateway=allowed[0], load=allowed[1])
    os.sched_setaffinity(0, {cores.load})
    _raise_file_limit()
    wanted = options.only if options.against is None else [*options.only, against(options.against)]
    shape = Shape(options.streams, options.rate, options.bytes, options.seconds, options.warmup)
    try:
        peers, code = _present(wanted)
        rounds = _measure_loaded(peers, shape, cores, options.rounds)
        idles = {
            peer.name: run_idle(peer, core=cores.gateway, tries=options.tries, size_bytes=options.bytes)
            for peer in peers
        }
    except (PeerFailedError, LoadFailedError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    return _tell(options.results, shape, peers, rounds, idles) or code


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--streams", type=int, default=1000, help="event streams open at a time (default 1000)")
    parser.add_argument("--rate", type=float, default=10, help="events per second and stream (default 10)")
    parser.add_argument("--bytes", type=_size, default=200, help="bytes per event (default 200)")
    parser.add_argument("--seconds", type=float, default=10, help="measured window of each run (default 10)")
    parser.add_argument("--warmup", type=float, default=2, help="seconds before the window (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each peer (default 3)")
    parser.add_argument("--tries", type=int, default=50, help="tries of each idle figure (default 50)")
    parser.add_argument("--only", type=_peers, default="headgate,nginx", help=f"peers, of {','.join(PEERS)}")
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout of headgate, as one more peer")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory for the raw figures")
    return parser.parse_args(arguments)


def _size(text: str) -> int:
    if int(text) < SMALLEST_BYTES:
        raise argparse.ArgumentTypeError(f"an event has at least {SMALLEST_BYTES} bytes")
    return int(text)


def _peers(text: str) -> list[Peer]:
    unknown = [name for name in text.split(",") if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return [PEERS[name] for name in text.split(",")]


def _present(peers: list[Peer]) -> tuple[list[Peer], int]:
    """Leave out an NGINX that is not installed, saying how to install it. Raises PeerFailedError for any other peer."""
    present, code = [], 0
    for peer in peers:
        missing = peer.missing()
        if missing is None:
            present.append(peer)
        elif peer is PEERS["nginx"]:
            print(f"{missing}\nwithout it there is no ratio", file=sys.stderr)
            code = WITHOUT_NGINX
        else:
            raise PeerFailedError(f"{peer.name}: {missing}")
    return present, code


def _raise_file_limit() -> None:
    """Two descriptors per stream in the peer: the limit is inherited."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _measure_loaded(peers: list[Peer], shape: Shape, cores: Cores, rounds: int) -> dict[str, list[LoadFigures]]:
    measured: dict[str, list[LoadFigures]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers if number % 2 == 0 else reversed(peers):
            figures = run_load(peer, shape, cores)
            measured[peer.name].append(figures)
            told = f"{figures.events} events, {figures.cpu_us_per_event:.2f} µs each"
            if figures.instructions_per_event is not None:
                told += f", {figures.instructions_per_event:.0f} user instructions"
            told += f"; others took {figures.others_percent:.0f} %"
            print(f"round {number + 1}, {peer.name}: {told}", flush=True)
    return measured


def _tell(directory: Path, shape: Shape, peers: list[Peer], rounds: report.Rounds, idles: report.Idles) -> int:
    """Print the table, save the figures, and give the exit code."""
    print(f"\n{shape.streams} streams x {shape.rate:g} events/s x {shape.size_bytes} bytes; median (lowest-highest)\n")
    print(report.table(rounds, idles))
    print(f"\nraw figures: {report.save(directory, shape, rounds, idles, peers)}")
    if max(run.others_percent for runs in rounds.values() for run in runs) > QUIET_PERCENT:
        print(
            "NOT QUIET: other processes took a core; events then travel in batches, which costs less CPU and more time"
        )
    problems = [f"{name}: {one}" for name, runs in rounds.items() for run in runs for one in run.problems]
    if problems:
        print("INVALID: events did not arrive once, whole and in order", *problems[:20], sep="\n", file=sys.stderr)
        return INVALID
    return 0


if __name__ == "__main__":
    sys.exit(main())
