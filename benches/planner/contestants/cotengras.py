"""cotengra: its optimizer of optimizers, for ten seconds by its own clock."""

import cotengra

from contestants import Answer, Contestant, letters

SECONDS = 10


def search(slicing):
    def start(problem):
        # Other labels make its trials fail, one by one.
        inputs, output, sizes = letters(problem)
        label = dict(zip(sizes, problem.sizes))
        options = {"slicing_opts": {"target_size": 2**problem.limit}} if slicing else {}

        def run():
            optimizer = cotengra.HyperOptimizer(
                minimize="flops", max_time=SECONDS, max_repeats=10**6, parallel=False, progbar=False, **options
            )
            return optimizer.search(inputs, output, sizes)

        return run, lambda tree: Answer(tree.get_ssa_path(), tuple(label[letter] for letter in tree.sliced_inds))

    return start


CONTESTANTS = [
    Contestant(f"cotengra {SECONDS} s", search(slicing=False), ("medium", "large"), long=True),
    Contestant(f"cotengra {SECONDS} s, sliced", search(slicing=True), ("sliced",)),
]
