"""Measures qeinsum's path search beside other planners; see README.md."""

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import best
import check
import generators
import ours
import problems
import report
import targets
from contest import Outcome, judge
from contestants import MODULES
from library import Library
from reuse import Earlier

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

# Processor seconds of a search of ours: three times what the slowest may take.
OWN_LIMIT = 30


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--instances", type=Path, metavar="DIR", help="networks from files instead of generated ones")
    parser.add_argument("--seed", type=int, default=0, help="of the generated problems [0]")
    parser.add_argument("--only", type=names, default=[], metavar="NAME,…", help="problems, families or groups")
    parser.add_argument("--quick", action="store_true", help="a few problems, and two seconds for each search")
    parser.add_argument("--slice", type=slices, default={}, metavar="NAME=LOG2,…", help="networks to slice, too")
    parser.add_argument("--peers", type=names, default=[], metavar="PEER,…", help="the peers beside qeinsum [all]")
    parser.add_argument("--long", action="store_true", help="also what takes ten seconds and more for each problem")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="for each search of a peer [10, slicers 60]")
    parser.add_argument("--memory", type=float, default=4, metavar="GIB", help="for each search [4]")
    parser.add_argument("--best", type=Path, metavar="FILE", help="the best paths known")
    parser.add_argument("--save-best", type=Path, metavar="FILE", help="write them with what is better now")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures and paths, too")
    parser.add_argument("--reuse", type=Path, metavar="FILE", help="take the peers' figures from such a file")
    parser.add_argument("--markdown", action="store_true", help="print tables for Markdown instead of text")
    parser.add_argument("--list", action="store_true", help="print the problems and the peers, and measure nothing")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the problems as files, and measure nothing")
    parser.add_argument("--check", action="store_true", help="check the evaluator and the generators, measure nothing")
    return parser.parse_args()


def names(text):
    return [name for name in text.split(",") if name]


def slices(text):
    pairs = (pair.split("=") for pair in names(text))
    return {name: int(limit) for name, limit in pairs}


def main():
    args = arguments()
    if args.check:
        return check.main()
    chosen = choose(args)
    if args.list:
        return show(chosen)
    if args.write:
        return write(chosen, args.write)
    for peer in args.peers:
        if peer not in MODULES:
            raise SystemExit(f"no peer is named {peer}: {', '.join(MODULES)}")
    confine()
    measure(args, chosen)


def choose(args):
    """The problems, and those of them that are sliced at the end."""
    listed = problems.read(args.instances) if args.instances else generators.generate(args.seed)
    limits = args.slice or ({} if args.instances else generators.SLICED)
    listed += [problem.within(limits[problem.name]) for problem in listed if problem.name in limits]
    only = args.only or (generators.QUICK if args.quick and not args.instances else [])
    return problems.select(listed, only)


def show(chosen):
    for problem in chosen:
        print(f"{problem.name:<24} {problem.family:<10} {problem.group:<7} {problem.operands:>6} operands")
    print("peers:", *MODULES)


def write(chosen, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for problem in chosen:
        (folder / f"{problem.name}.json").write_text(json.dumps(problem.network) + "\n")


def confine():
    """This process and all that it starts run on one processor, and libraries are told to start no threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measure(args, chosen):
    program = ours.Program(args.program)
    earlier = Earlier(args.reuse, ours.PEER)
    known = best.load(args.best)
    libraries = Libraries(args.peers or list(MODULES))
    outcomes = []
    for problem in chosen:
        print(f"{problem.name} …", file=sys.stderr)
        outcome = Outcome(problem, own(program, problem, args) + rivals(libraries, earlier, problem, args))
        outcome.entries += alike(program, outcome, args)
        outcome.settle(best.known(known, problem))
        outcomes.append(outcome)
        if not args.markdown:
            print(report.text(outcome), flush=True)
        if args.json:
            # After every problem, so that a run that is stopped can be gone on with: `--reuse` takes what is there.
            report.save(args.json, outcomes, targets.summarize(outcomes), about(program, args))
    libraries.close()
    lines = targets.summarize(outcomes)
    if args.markdown:
        print(targets.markdown(lines), report.markdown(outcomes), sep="\n", end="")
    else:
        missing = [way.needs for way in ours.WAYS if way.needs and way not in program.ways()]
        print(report.classes_text(outcomes), targets.text(lines, missing), sep="\n", end="")
    if args.reuse:
        print(f"Peers' figures that are marked as reused are those of {args.reuse}.")
    if args.save_best:
        best.save(args.save_best, known, outcomes)


def own(program, problem, args):
    entries = []
    for way in program.ways():
        if problem.group in way.groups and (args.long or not way.long):
            answer = program.search(way, problem, OWN_LIMIT, int(args.memory * 2**30))
            entries.append(judge(problem, way.name, ours.PEER, answer))
    return entries


def alike(program, outcome, args):
    """What we find in as much memory as the paths and slices of each rival take."""
    problem = outcome.problem
    entries = []
    for way in program.ways():
        if problem.limit is None or way.name != ours.SLICED:
            continue
        for rival in outcome.answered:
            if rival.peer != ours.PEER:
                answer = program.search(way, problem, OWN_LIMIT, int(args.memory * 2**30), rival.peak)
                name = ours.in_memory_of(rival.contestant)
                entries.append(judge(problem, name, ours.PEER, answer, rival.peak))
    return entries


def rivals(libraries, earlier, problem, args):
    """What was measured before is taken over, the rest is measured."""
    entries = earlier.of(problem, args.peers)
    there = {entry.contestant for entry in entries}
    size = int(args.memory * 2**30)
    for library, contestant in libraries.contestants():
        name = contestant["name"]
        if name not in there and problem.group in contestant["groups"] and (args.long or not contestant["long"]):
            answer = library.search(name, problem, limit(contestant, problem, args), size)
            entries.append(judge(problem, name, library.peer, answer))
    return entries


def limit(contestant, problem, args):
    """Seconds. What is long, and what slices, has more of them."""
    seconds = args.limit or (2 if args.quick else 10)
    return max(seconds, 60) if contestant["long"] or problem.limit is not None else seconds


class Libraries:
    """The processes of the libraries, started when the first one is needed."""

    def __init__(self, peers):
        self.peers = peers
        self.started = None

    def contestants(self):
        if self.started is None:
            self.started = [Library(peer) for peer in self.peers]
            for library in self.started:
                if library.reason:
                    print(f"{library.peer} is left out: {library.reason}", file=sys.stderr)
        return [(library, contestant) for library in self.started for contestant in library.contestants]

    def close(self):
        for library in self.started or ():
            library.close()


def about(program, args):
    return {
        "processor": processor(),
        "versions": versions() | {"qeinsum": program.version},
        "seed": args.seed,
        "limit": args.limit,
        "reused": str(args.reuse) if args.reuse else None,
    }


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def versions():
    """Of the Python packages that are there."""
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
