"""Networks on lattices: plain ones, the norm of projected entangled pairs, matrix products, renormalization."""

import itertools

from .network import Network


def lattice(_random, *shape, size=2):
    """An operand for every site, a label for every pair of neighbours."""
    sites = list(itertools.product(*(range(length) for length in shape)))
    number = {site: place for place, site in enumerate(sites)}
    return Network().graph(len(sites), bonds(sites, number), size)


def bonds(sites, number):
    edges = []
    for site in sites:
        for axis in range(len(site)):
            neighbour = site[:axis] + (site[axis] + 1,) + site[axis + 1 :]
            if neighbour in number:
                edges.append((number[site], number[neighbour]))
    return edges


def peps(_random, rows, columns, bond=4, physical=2):
    """The norm of a state with a tensor on each site of a lattice: the state beside its conjugate."""
    network = Network()
    sites = list(itertools.product(range(rows), range(columns)))
    number = {site: place for place, site in enumerate(sites)}
    inner = network.labels(len(sites), physical)
    for _ in range(2):
        network.graph(len(sites), bonds(sites, number), bond)
    for place, label in enumerate(inner):
        network.inputs[place].append(label)
        network.inputs[len(sites) + place].append(label)
    return network


def mps(_random, length, bond=16, operator=5, physical=2):
    """An expectation value of matrix products: state, operator, and conjugate state, side by side."""
    network = Network()
    before = None
    for site in range(length):
        last = site == length - 1
        after = None if last else [network.label(size) for size in (bond, operator, bond)]
        ket, bra = network.labels(2, physical)
        for row, legs in enumerate(([ket], [ket, bra], [bra])):
            sides = [side[row] for side in (before, after) if side]
            network.add(*sides, *legs)
        before = after
    return network


def mera(_random, sites, bond=4, physical=2):
    """The energy of two neighbouring sites in a state of repeated renormalization, with a period of `sites`, a power of
    two."""
    network = Network()
    lower = network.labels(sites, physical)
    # Where the operator acts, state and conjugate have labels of their own.
    place = sites // 2
    other = list(lower)
    other[place - 1], other[place] = network.labels(2, physical)
    network.add(lower[place - 1], lower[place], other[place - 1], other[place])
    for bottom in (lower, other):
        layer, size = bottom, physical
        while len(layer) > 2:
            size = min(size * size, bond)
            layer = coarser(network, layer, size)
        network.add(*layer)
    return network


def coarser(network, layer, size):
    """Disentanglers between pairs, isometries on pairs."""
    width = len(layer)
    inner = [None] * width
    for site in range(1, width, 2):
        pair = (site, (site + 1) % width)
        for half in pair:
            inner[half] = network.label(network.sizes[layer[half]])
        network.add(*(layer[half] for half in pair), *(inner[half] for half in pair))
    upper = []
    for site in range(0, width, 2):
        upper.append(network.label(size))
        network.add(inner[site], inner[site + 1], upper[-1])
    return upper
