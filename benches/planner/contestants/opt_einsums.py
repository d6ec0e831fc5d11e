"""opt_einsum."""

from opt_einsum import paths

from contestants import EVERYWHERE, Answer, Contestant
from cost import unshrunk


def search(optimizer):
    def start(problem):
        inputs = [frozenset(labels) for labels in problem.inputs]
        output = frozenset(problem.output)
        return (
            lambda: optimizer(inputs, output, problem.sizes),
            lambda path: Answer(unshrunk(path, problem.operands)),
        )

    return start


CONTESTANTS = [
    Contestant("opt_einsum greedy", search(paths.greedy), EVERYWHERE),
    Contestant("opt_einsum auto", search(paths.auto), ("small", "medium")),
    Contestant("opt_einsum dp", search(paths.dynamic_programming), ("small", "medium")),
]
