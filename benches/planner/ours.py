"""qeinsum, through its command line: a process for each search.

What goes in is a problem and limits; what comes out is the answer of the program, the processor's time of the whole
process, and the most memory that it had. How long a short search takes when the process is warm is asked of
`search_time`, which lies beside the program. All that is known of the program's flags and of its JSON is here.
"""

import json
import math
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PEER = "qeinsum"
DEFAULT, GREEDY, BUDGET, SLICED = "qeinsum", "qeinsum greedy", "qeinsum 10 s", "qeinsum sliced"


def in_memory_of(contestant):
    """Our name where our limit is what a contestant's path and slices take."""
    return f"qeinsum in memory of {contestant}"


# The program is asked again for so long, in seconds of the clock, and the fastest run counts.
SHORT = 0.1
REPEATS = 7
# Searches up to this long are short.
WARM = 0.05


@dataclass(frozen=True)
class Way:
    """A way to call it. One that needs a flag which the program does not have is left out."""

    name: str
    flags: tuple
    groups: tuple
    needs: str | None = None
    long: bool = False


WAYS = [
    Way(DEFAULT, (), ("small", "medium", "large", "huge")),
    Way(GREEDY, ("--optimize", "greedy"), ("small", "medium", "large", "huge")),
    Way(BUDGET, ("--time-budget", "10s"), ("medium", "large"), "--time-budget", long=True),
    Way(SLICED, (), ("sliced",), "--memory-limit"),
]


class Program:
    def __init__(self, path):
        self.path = path
        timer = Path(path).parent / "examples" / "search_time"
        self.timer = timer if timer.exists() else None
        self.help = {command: self.ask(command, "--help") for command in ("path", "plan")}
        version = self.ask("--version").split()
        self.version = version[-1] if version else None

    def ask(self, *arguments):
        return subprocess.run([self.path, *arguments], capture_output=True, text=True, check=False).stdout

    def ways(self):
        return [way for way in WAYS if way.needs is None or way.needs in self.help["path"]]

    def search(self, way, problem, seconds, size, memory=None):
        """What a way finds; `memory` are the elements that may be there at a time, where a path is sliced."""
        # `path` says what was found; `plan` says what it took where `path` does not, and what is sliced.
        timing = "--timing" in self.help["path"]
        command = "plan" if way.name == SLICED or (problem.operands <= 100 and not timing) else "path"
        flags = [*way.flags, "--format", "json"]
        if "--threads" in self.help[command]:
            flags += ["--threads", "1"]
        if "--timing" in self.help[command]:
            flags += ["--timing"]
        if problem.limit is not None:
            # In bytes, of elements of four bytes.
            flags += ["--memory-limit", str(4 * (memory or 2**problem.limit))]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(problem.network, file)
            file.flush()
            arguments = [self.path, command, "--network", file.name, *flags]
            first = answer(arguments, seconds, size)
            if "reason" in first:
                return first
            for _ in range(min(REPEATS, int(SHORT / first["wall"]))):
                again = answer(arguments, seconds, size)
                for key in ("cpu", "wall", "search"):
                    if first.get(key) is not None and again.get(key) is not None:
                        first[key] = min(first[key], again[key])
            if way.name == DEFAULT and self.timer and first["wall"] < 2 * WARM:
                told = subprocess.run([self.timer, file.name], capture_output=True, text=True, check=False).stdout
                if told:
                    warm = json.loads(told)["seconds"]
                    first["search"] = warm if first["search"] is None else min(warm, first["search"])
        return first


def answer(arguments, seconds, size):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        start = time.perf_counter()
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=complaints,
            preexec_fn=lambda: limit(math.ceil(seconds), size),
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        measured = {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "rss": used.ru_maxrss * 1024}
        if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return measured | {"reason": f"no answer in {seconds:g} s"}
        out.seek(0)
        complaints.seek(0)
        if process.returncode != 0:
            told = complaints.read().decode().strip()
            return measured | {"reason": told[:160] or f"ended with {process.returncode}"}
        document = json.load(out)
    path = [] if document["path"] == [[0]] else document["ssa_path"]
    return measured | {
        "path": path,
        "sliced": [it["label"] if isinstance(it, dict) else it for it in document.get("slices", ())],
        "search": document.get("search_seconds"),
        "certificate": document["certificate"]["kind"],
        "claimed": claimed(document),
    }


def claimed(document):
    """What the program itself says that the path costs."""
    cost = document.get("cost", {}).get("multiplications")
    return None if cost is None else int(cost)


def limit(seconds, size):
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
