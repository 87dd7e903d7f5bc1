"""``python -m bench``: what one worker costs, beside other gateways, on this machine.

The short form measures headgate, NGINX and the smallest relay in Python on a few cases in under five minutes; ``--full`` measures every
case with every peer. Peers run on one core and the load on another; what was expected is printed first, a line per run as it goes, and
tables at the end. Raw figures are kept in ``bench/results/``.

Exit code 0: measured; 1: invalid, what arrived was not what was sent; 2: a peer failed a case, or nothing could be measured;
3: measured without NGINX, which is not installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.cases import CASES, choose
from bench.measures.measure import Cores
from bench.peers.peer import Peer, PeerFailedError
from bench.peers.registry import PEERS, against
from bench.report.machine import machine
from bench.report.table import as_text
from bench.results import Results, load
from bench.run import Step, blank, expected_s, measure, plan

from bench.report import page

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "design"
ROUNDS = 3
INVALID, FAILED, WITHOUT_NGINX = 1, 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Measure, or read what was measured, and print; give the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.report is not None:
        try:
            return _tell(load(options.report), options.report, options.write_docs)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    try:
        return _measure(options)
    except (PeerFailedError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--full", action="store_true", help="every case and every peer, in full size")
    parser.add_argument("--cases", type=_cases, help=f"these cases only, of {','.join(CASES)}")
    parser.add_argument("--only", type=_peers, metavar="PEERS", help=f"these peers only, of {','.join(PEERS)}")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS, help=f"runs of each peer (default {ROUNDS})")
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout of headgate, as one more peer")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="directory for the raw figures")
    parser.add_argument("--report", type=Path, metavar="FILE", help="measure nothing: tell what this file keeps")
    parser.add_argument(
        "--write-docs", type=Path, nargs="?", const=DOCS, metavar="DIR", help=f"write page and plots (default {DOCS})"
    )
    return parser


def _cases(text: str) -> list[str]:
    names = text.split(",")
    try:
        choose(names, full=True)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return names


def _peers(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return names


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("rounds are a number from 1 on")
    return int(text)


def _measure(options: argparse.Namespace) -> int:
    """Measure what was asked for, and tell it. Raises PeerFailedError where there is nothing to measure."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise PeerFailedError("the bench needs two cores: one for the gateway, one for the load")
    known = dict(PEERS) if options.against is None else {**PEERS, "against": against(options.against)}
    beside = [] if options.against is None else ["against"]
    cases = choose(options.cases, full=options.full)
    steps = plan(cases, known, options.only, full=options.full, beside=beside)
    wanted = list(dict.fromkeys(peer.name for step in steps for peer in step.peers))
    present, missing = leave_out([known[name] for name in wanted])
    steps = plan(cases, present, options.only, full=options.full, beside=beside)
    if not steps:
        raise PeerFailedError("no case of these has a peer of these that can be measured")
    results = Results(
        form="full" if options.full else "short",
        began=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        rounds=options.rounds,
        machine=machine(),
        versions={name: peer.version() for name, peer in present.items()},
        missing=missing,
    )
    path = options.results / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    cores = Cores(gateway=allowed[0], load=allowed[1])
    os.sched_setaffinity(0, {cores.load})
    _raise_file_limit()
    _run(steps, cores, results, path)
    return _tell(results, path, options.write_docs)


def leave_out(peers: Iterable[Peer]) -> tuple[dict[str, Peer], dict[str, str]]:
    """Give the peers that are installed by name, and the words of those that are not.

    Raises PeerFailedError for another checkout that is none: it was asked for by its path.
    """
    present, missing = {}, {}
    for peer in peers:
        words = peer.missing()
        if words is None:
            present[peer.name] = peer
        elif peer.name == "against":
            raise PeerFailedError(f"{peer.name}: {words}")
        else:
            missing[peer.name] = words
            print(f"{words}\nwithout it there is no {peer.name} to compare with", file=sys.stderr)
    return present, missing


def _raise_file_limit() -> None:
    """Two descriptors per stream in the peer: the limit is inherited."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(steps: Sequence[Step], cores: Cores, results: Results, path: Path) -> None:
    """Measure every step; an interrupt ends the run, and what was measured is told."""
    print(f"{len(steps)} cases, about {expected_s(steps, results.rounds) / 60:.0f} minutes; raw figures: {path}")
    began_s = time.monotonic()
    try:
        for step in steps:
            result = blank(step)
            results.cases.append(result)
            measure(
                step, cores, results.rounds, result, lambda line: print(line, flush=True), lambda: results.save(path)
            )
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", file=sys.stderr)
    print(f"took {(time.monotonic() - began_s) / 60:.1f} minutes")


def _tell(results: Results, path: Path, docs: Path | None) -> int:
    """Print the tables, write the page if it is wanted, and give the exit code."""
    print(f"\n{as_text(results)}\n\nraw figures: {path}")
    if docs is not None:
        print(*page.write(results, docs), sep="\n")
    if results.worst("others_percent") > page.QUIET_PERCENT:
        print(
            "NOT QUIET: other processes took a core; events then travel in batches, which costs less CPU and more time"
        )
    if results.wrong():
        told = results.wrong()[:20]
        print("INVALID: what arrived was not what was sent, once, whole and in order", *told, sep="\n", file=sys.stderr)
        return INVALID
    if results.failed():
        print("FAILED: some peers did not come through", *results.failed(), sep="\n", file=sys.stderr)
        return FAILED
    return WITHOUT_NGINX if "nginx" in results.missing else 0


if __name__ == "__main__":
    sys.exit(main())
