"""Random integers that no version of a library changes.

A text goes in, the seed; out come the same integers on every machine. The generator is SplitMix64.
"""

import hashlib

MASK = (1 << 64) - 1


class SplitMix:
    def __init__(self, seed):
        self.state = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "little")

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound):
        return self.next() * bound >> 64

    def between(self, low, high):
        """Both ends may come out."""
        return low + self.below(high - low + 1)

    def chance(self, percent):
        return self.below(100) < percent

    def shuffle(self, items):
        for end in range(len(items) - 1, 0, -1):
            other = self.below(end + 1)
            items[end], items[other] = items[other], items[end]

    def sample(self, items, count):
        """So many different items, in random order."""
        left = list(items)
        self.shuffle(left)
        return left[:count]
