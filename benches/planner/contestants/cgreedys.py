"""cgreedy: a greedy search, repeated, with an exact search of up to 12 operands."""

from cgreedy import CGreedy

from contestants import UP_TO_LARGE, Answer, Contestant, letters


def start(problem):
    inputs, output, sizes = letters(problem)
    sets = [set(labels) for labels in inputs]

    def run():
        return CGreedy(seed=1, minimize="flops", max_repeats=128, threads=1, is_linear=False)(sets, set(output), sizes)

    # The path of one operand is no list of steps.
    return run, lambda path: Answer([] if problem.operands == 1 else path)


CONTESTANTS = [Contestant("cgreedy × 128", start, UP_TO_LARGE)]
