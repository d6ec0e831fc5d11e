"""Checks what the measurements stand on: costs that were computed by hand, and the problems by their hashes.

`pinned.txt` has the hash of every problem of seed 0. What changes a generator changes problems: it has to give them
other names, or the best paths known are of other problems.
"""

import itertools
import string
from pathlib import Path

import generators
from cost import BadPath, evaluate, unshrunk
from problems import Problem
from splitmix import SplitMix

PINNED = Path(__file__).with_name("pinned.txt")

# Equation, sizes, path in ids, sliced labels; multiplications, largest result, all results.
COSTS = [
    ("ab,bc->ac", "a=2 b=3 c=5", [[0, 1]], "", (30, 10, 10)),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "", (30 + 70, 14, 10 + 14)),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[1, 2], [0, 3]], "", (105 + 42, 21, 21 + 14)),
    # Three sides at once are two steps; what is left is joined.
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1, 2]], "", (100, 14, 24)),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [], "", (30 + 70, 14, 24)),
    # A lone sum and a diagonal are free.
    ("xa,ab,bc->c", "x=9 a=2 b=3 c=5", [[0, 1], [3, 2]], "", (6 + 15, 5, 3 + 5)),
    ("aab,bb->b", "a=4 b=3", [[0, 1]], "", (3, 3, 3)),
    # A label that three have is summed with the last of them.
    ("ab,ac,ad->bcd", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "", (30 + 210, 105, 30 + 105)),
    ("ab,bc->abc", "a=2 b=3 c=5", [[0, 1]], "", (30, 30, 30)),
    (",ab,bc->ac", "a=2 b=3 c=5", [[0, 1], [3, 2]], "", (6 + 30, 10, 6 + 10)),
    ("a,b->ab", "a=2 b=3", [[0, 1]], "", (6, 6, 6)),
    (",->", "", [[0, 1]], "", (1, 1, 1)),
    ("ab->a", "a=2 b=3", [], "", (0, 0, 0)),
    ("ab,bc->ac", "a=0 b=3 c=5", [[0, 1]], "", (0, 0, 0)),
    # Slices of a summed label, of a kept one, and of both.
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "b", (3 * (10 + 70), 14, 3 * (10 + 14))),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "a", (2 * (15 + 35), 7, 2 * (5 + 7))),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "ac", (10 * (3 + 7), 7, 10 * (1 + 7))),
    # No float holds this.
    ("ab,bc->ac", f"a={2**60 + 1} b={2**60 - 1} c=3", [[0, 1]], "", (3 * 2**120 - 3, 3 * 2**60 + 3, 3 * 2**60 + 3)),
]

# Equation, sizes, path, sliced labels; elements that are there at a time.
PEAKS = [
    ("ab,bc->ac", "a=2 b=3 c=5", [[0, 1]], "", 6 + 15 + 10),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "", 6 + 15 + 35 + 14 + 10),
    ("ab,bc,cd->ad", "a=2 b=3 c=5 d=7", [[0, 1], [3, 2]], "c", 6 + 15 + 35 + 14 + 2),
    # Two results wait for each other; a third is made of one of them and an operand.
    ("ab,bc,cd,de,ef->af", "a=2 b=2 c=2 d=2 e=2 f=2", [[0, 1], [2, 3], [6, 4], [5, 7]], "", 5 * 4 + 4 + 3 * 4),
]

WRONG = [[[0, 0]], [[0, 3]], [[0, 1], [0, 2]], [[]]]


def main():
    by_hand()
    wrong_paths()
    against_loops()
    numbers()
    pinned()
    print("all checked")


def problem(equation, sizes):
    operands, output = equation.split("->")
    pairs = (pair.split("=") for pair in sizes.split())
    sizes = {label: int(size) for label, size in pairs}
    return Problem(equation, "check", [list(operand) for operand in operands.split(",")], list(output), sizes)


def by_hand():
    for equation, sizes, path, sliced, expected in COSTS:
        cost = evaluate(problem(equation, sizes), path, tuple(sliced))
        found = (cost.multiplications, cost.largest, cost.written)
        assert found == expected, f"{equation} {path} sliced {sliced!r}: {found}, not {expected}"
    for equation, sizes, path, sliced, expected in PEAKS:
        found = evaluate(problem(equation, sizes), path, tuple(sliced)).peak
        assert found == expected, f"{equation} {path} sliced {sliced!r}: {found} at a time, not {expected}"
    assert unshrunk([(0, 2), (0, 1)], 3) == [[0, 2], [1, 3]]
    assert unshrunk([(1, 2), (0, 2), (0, 1)], 4) == [[1, 2], [0, 4], [3, 5]]


def wrong_paths():
    for path in WRONG:
        try:
            evaluate(problem("ab,bc,cd->ad", "a=2 b=3 c=5 d=7"), path)
        except BadPath:
            continue
        raise AssertionError(f"{path} is no path, and has a cost")


def against_loops():
    """Random networks and paths: the multiplications of a step, counted one by one."""
    draw = SplitMix("loops")
    for _ in range(200):
        labels = string.ascii_lowercase[: draw.between(2, 6)]
        inputs = [[it for it in labels if draw.chance(45)] for _ in range(draw.between(2, 5))]
        held = sorted({label for operand in inputs for label in operand})
        output = [label for label in held if draw.chance(25)]
        sizes = {label: draw.between(1, 3) for label in held}
        network = Problem("loops", "check", inputs, output, sizes)
        path, alive = [], list(range(len(inputs)))
        while len(alive) > 1:
            sides = draw.sample(alive, 2)
            alive = [it for it in alive if it not in sides] + [len(inputs) + len(path)]
            path.append(sides)
        assert evaluate(network, path).multiplications == counted(network, path), f"{inputs} {output} {path}"


def counted(network, path):
    """By sets of operands: a label lives in a value as long as an operand outside has it, or the output."""
    members = {number: frozenset([number]) for number in range(len(network.inputs))}
    total = 0
    for number, (one, other) in enumerate(path):
        labels = alive(network, members[one]) | alive(network, members[other])
        total += sum(1 for _ in itertools.product(*(range(network.sizes[label]) for label in labels)))
        members[len(network.inputs) + number] = members[one] | members[other]
    return total


def alive(network, inside):
    outside = set(network.output)
    for number, labels in enumerate(network.inputs):
        if number not in inside:
            outside |= set(labels)
    return {label for number in inside for label in network.inputs[number] if label in outside}


def numbers():
    draw = SplitMix("")
    draw.state = 0
    assert [draw.next() for _ in range(2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert SplitMix("").next() == 16129083335007981329


def pinned():
    listed = generators.generate() + generators.generate(1)[:5]
    found = "".join(f"{problem.digest} {problem.name}\n" for problem in listed)
    assert len({problem.name for problem in listed}) == len(listed)
    for problem in listed:
        labels = {label for operand in problem.inputs for label in operand}
        assert labels == set(problem.sizes) and set(problem.output) <= labels, problem.name
        assert len(problem.output) == len(set(problem.output)), problem.name
    expected = PINNED.read_text() if PINNED.exists() else ""
    if found != expected:
        changed = sorted(set(found.splitlines()) ^ set(expected.splitlines()), key=lambda line: line.split()[1])
        raise AssertionError("these problems are not those of pinned.txt:\n" + "\n".join(changed))

