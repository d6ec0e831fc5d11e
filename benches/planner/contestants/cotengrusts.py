"""cotengrust, as cotengra calls it: networks are simplified first."""

import cotengrust

from contestants import EVERYWHERE, UP_TO_LARGE, Answer, Contestant, letters

SEED = 1
TRIALS = 128


def search(optimize):
    def start(problem):
        network = letters(problem)
        return lambda: optimize(*network), Answer

    return start


def greedy(inputs, output, sizes):
    return cotengrust.optimize_greedy(inputs, output, sizes, seed=SEED, use_ssa=True)


def random_greedy(inputs, output, sizes):
    path, _ = cotengrust.optimize_random_greedy_track_flops(
        inputs, output, sizes, ntrials=TRIALS, seed=SEED, use_ssa=True
    )
    return path


def optimal(inputs, output, sizes):
    return cotengrust.optimize_optimal(inputs, output, sizes, minimize="flops", use_ssa=True)


CONTESTANTS = [
    Contestant("cotengrust greedy", search(greedy), EVERYWHERE),
    Contestant(f"cotengrust greedy × {TRIALS}", search(random_greedy), UP_TO_LARGE),
    Contestant("cotengrust optimal", search(optimal), UP_TO_LARGE),
]
