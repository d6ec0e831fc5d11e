"""omeco. It takes no seed: its annealing gives another path in every run."""

import omeco

from contestants import EVERYWHERE, Answer, Contestant


def search(optimizer):
    def start(problem):
        inputs, output, sizes, _ = numbered(problem)
        return (
            lambda: omeco.optimize_code(inputs, output, sizes, optimizer()),
            lambda tree: Answer(path(tree.to_dict(), problem.operands)),
        )

    return start


def slicer(problem):
    inputs, output, sizes, labels = numbered(problem)

    def run():
        tree = omeco.optimize_code(inputs, output, sizes, omeco.TreeSA.fast())
        score = omeco.ScoreFunction(sc_target=float(problem.limit))
        return omeco.slice_code(tree, inputs, sizes, omeco.TreeSASlicer(score=score))

    def finish(sliced):
        return Answer(path(sliced.to_dict(), problem.operands), tuple(labels[number] for number in sliced.slicing()))

    return run, finish


def numbered(problem):
    labels = list(problem.sizes)
    number = {label: place for place, label in enumerate(labels)}
    inputs = [[number[label] for label in operand] for operand in problem.inputs]
    output = [number[label] for label in problem.output]
    return inputs, output, {number[label]: size for label, size in problem.sizes.items()}, labels


def path(tree, operands):
    """The path of a nested tree, which may be too deep for recursion."""
    steps, ids, waiting = [], [], [(tree, False)]
    while waiting:
        node, done = waiting.pop()
        if "tensor_index" in node:
            ids.append(node["tensor_index"])
        elif not done:
            waiting.append((node, True))
            waiting.extend((child, False) for child in reversed(node["args"]))
        else:
            sides = len(node["args"])
            steps.append(ids[-sides:])
            ids[-sides:] = [operands + len(steps) - 1]
    return steps


CONTESTANTS = [
    Contestant("omeco greedy", search(omeco.GreedyMethod), EVERYWHERE),
    Contestant("omeco exhaustive", search(omeco.ExhaustiveSearch), ("small",)),
    Contestant("omeco TreeSA.fast", search(omeco.TreeSA.fast), EVERYWHERE),
    Contestant("omeco TreeSA", search(omeco.TreeSA), ("small", "medium", "large"), long=True),
    Contestant("omeco TreeSASlicer", slicer, ("sliced",)),
]
