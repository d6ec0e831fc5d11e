"""The process of a library. It loads the library, and then answers one line with another.

A line that comes in names a contestant, a file with a problem, and the limits of seconds and bytes. The search runs in
a copy of the process, so that one that hangs or takes all memory ends alone. What goes out is the answer and how long
the search took, or the reason why there is none.
"""

import json
import math
import os
import resource
import select
import signal
import sys
import time

import contestants
from problems import Problem

# A search that takes less than this is repeated for so long, in seconds, and the fastest run counts.
SHORT = 0.02
REPEATS = 50

# How many times the processor seconds a search may take by the clock.
PATIENCE = 20


def main():
    # What a library prints is no answer.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        known = {contestant.name: contestant for contestant in contestants.of(sys.argv[1])}
    # Whatever goes wrong when a library is loaded is the reason why it is left out.
    except Exception as error:
        out.write(json.dumps({"reason": f"not loaded: {first_line(error)}"}) + "\n")
        return
    described = [{"name": it.name, "groups": it.groups, "long": it.long} for it in known.values()]
    out.write(json.dumps({"contestants": described}) + "\n")
    for line in sys.stdin:
        asked = json.loads(line)
        with open(asked["file"]) as file:
            problem = Problem(**json.load(file))
        out.write(apart(lambda: search(known[asked["contestant"]], problem), asked["seconds"], asked["bytes"]) + "\n")


def search(contestant, problem):
    run, finish = contestant.start(problem)
    found, cpu, wall = timed(run)
    for _ in range(min(REPEATS, int(SHORT / max(wall, 1e-6)))):
        _, again_cpu, again_wall = timed(run)
        cpu, wall = min(cpu, again_cpu), min(wall, again_wall)
    answer = finish(found)
    path = [[int(side) for side in sides] for sides in answer.path]
    return {"path": path, "sliced": list(answer.sliced), "cpu": cpu, "wall": wall}


def timed(run):
    cpu, wall = time.process_time(), time.perf_counter()
    found = run()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def apart(work, seconds, size):
    """What work gives, as a line, from a copy of this process with limits: of processor seconds, and by the clock of so
    many times as many that a machine which does other things may take them."""
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        try:
            line = json.dumps(work())
        except BaseException as error:
            line = json.dumps({"reason": first_line(error)})
        with os.fdopen(start, "w") as pipe:
            pipe.write(line)
        os._exit(0)
    os.close(start)
    line, late = read(end, time.monotonic() + PATIENCE * seconds)
    if late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return line if line and not late else json.dumps({"reason": ending(status, late, seconds)})


def read(end, deadline):
    """What comes through a pipe until it is closed, and whether that was too late."""
    parts = []
    with os.fdopen(end, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return "", True
            part = pipe.read(1 << 20)
            if not part:
                return b"".join(parts).decode(), False
            parts.append(part)


def ending(status, late, seconds):
    if late:
        return f"no answer in {PATIENCE * seconds:g} s by the clock"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return f"no answer in {seconds:g} s"
        return f"ended by {signal.Signals(number).name}"
    return f"ended with {os.WEXITSTATUS(status)}"


def first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__


main()
