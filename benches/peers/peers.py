"""Measures qeinsum beside the libraries that one would use instead; see README.md."""

import argparse
import json
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import machine

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--server", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help="threads, each with a processor of its own [1]")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each contestant [9]")
    parser.add_argument("--only", type=names, default=[], metavar="NAME,…", help="workloads, or groups of them")
    parser.add_argument("--peers", type=names, default=[], metavar="PEER,…", help="the peers beside qeinsum [all]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples, too")
    parser.add_argument("--markdown", action="store_true", help="print a table for Markdown instead of text")
    parser.add_argument("--list", action="store_true", help="print the workloads and the peers, and measure nothing")
    return parser.parse_args()


def names(text):
    return [name for name in text.split(",") if name]


def main():
    args = arguments()
    machine.confine(args.threads)
    # These load libraries that read what was just set.
    import report
    import targets
    import workloads
    from contest import hold
    from server import Server

    chosen = workloads.select(workloads.load(), args.only)
    contestants = entrants(args.peers)
    if args.list:
        for workload in chosen:
            print(f"{workload.name:<16} {workload.group:<10} {workload.equation}")
        print("peers:", *sorted({contestant.peer for contestant in contestants}))
        return
    server, outcomes = Server(args.server, args.threads), []
    with tempfile.TemporaryDirectory() as folder:
        for workload in chosen:
            print(f"{workload.name} …", file=sys.stderr)
            outcomes.append(hold(workload, contestants, server, folder, args.threads, args.rounds))
            if not args.markdown:
                print(report.text(outcomes[-1]), flush=True)
    server.close()
    sections = targets.summarize(outcomes)
    if args.markdown:
        print(report.markdown(outcomes))
    print(targets.text(outcomes, sections), end="")
    if args.json:
        about = {"threads": args.threads, "rounds": args.rounds, "processor": processor(), "versions": versions()}
        args.json.write_text(json.dumps(report.data(outcomes, targets.data(sections), about), indent=1) + "\n")


def entrants(peers):
    from contestants import all_contestants

    contestants = all_contestants()
    known = {contestant.peer for contestant in contestants}
    for peer in peers:
        if peer not in known:
            raise SystemExit(f"no peer is named {peer}: {', '.join(sorted(known))}")
    return [contestant for contestant in contestants if not peers or contestant.peer in (*peers, "qeinsum")]


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def versions():
    """Of the Python packages that are there; the crates' are in rust/Cargo.lock."""
    found = {}
    for line in REQUIREMENTS.read_text().splitlines():
        package = line.split("==")[0]
        if not line.startswith("#"):
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                found[package] = None
    return found


main()
