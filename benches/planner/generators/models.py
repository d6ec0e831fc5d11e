"""Partition functions of models on grids: a variable is a label, a factor an operand."""

from .network import Network


def potts(_random, rows, columns, states=3):
    """A torus, with a field on every spin."""
    network = Network()
    spins = [network.labels(columns, states) for _ in range(rows)]
    for row in range(rows):
        for column in range(columns):
            spin = spins[row][column]
            network.add(spin)
            network.add(spin, spins[row][(column + 1) % columns])
            network.add(spin, spins[(row + 1) % rows][column])
    return network


def evidence(random, rows, columns, percent, high=5):
    """Variables of different sizes, a part of which was observed: their factors have lost their labels."""
    network = Network()
    grid = []
    for _ in range(rows):
        states = [random.between(2, high) for _ in range(columns)]
        grid.append([None if random.chance(percent) else network.label(size) for size in states])
    for row in range(rows):
        for column in range(columns):
            factors = [(row, column)], [(row, column), (row, column + 1)], [(row, column), (row + 1, column)]
            for factor in factors:
                if all(down < rows and across < columns for down, across in factor):
                    network.add(*(grid[down][across] for down, across in factor if grid[down][across]))
    return network
