"""Networks of random graphs: regular graphs, trees, hypergraphs, clauses."""

from .network import Network


def regular(random, vertices, degree, low=2, high=2):
    """A connected graph in which every vertex has so many neighbours."""
    while True:
        edges = pairing(random, vertices, degree)
        if edges is not None and connected(vertices, edges):
            return Network().graph(vertices, edges, lambda: random.between(low, high))


def pairing(random, vertices, degree):
    """Ends of edges in pairs at random; None where a pair is a loop or comes twice."""
    ends = [vertex for vertex in range(vertices) for _ in range(degree)]
    random.shuffle(ends)
    edges = set()
    for one, other in zip(ends[::2], ends[1::2]):
        edge = (min(one, other), max(one, other))
        if one == other or edge in edges:
            return None
        edges.add(edge)
    return sorted(edges)


def connected(vertices, edges):
    neighbours = [[] for _ in range(vertices)]
    for one, other in edges:
        neighbours[one].append(other)
        neighbours[other].append(one)
    seen, waiting = {0}, [0]
    while waiting:
        for neighbour in neighbours[waiting.pop()]:
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append(neighbour)
    return len(seen) == vertices


def tree(random, vertices, low=2, high=6):
    """Every vertex hangs on one of the last few before it, so that the tree is deep and no star."""
    edges = [(vertex, max(0, vertex - random.between(1, 8))) for vertex in range(1, vertices)]
    return Network().graph(vertices, edges, lambda: random.between(low, high))


def hypergraph(random, operands, rank, low=2, high=5, kept=2):
    """Labels of two to four operands each, so many that an operand has `rank` of them on average."""
    network = Network()
    network.inputs = [[] for _ in range(operands)]
    places = rank * operands
    # A chain of labels through all operands, so that the network is in one piece.
    for operand in range(1, operands):
        label = network.label(random.between(low, high))
        network.inputs[operand].append(label)
        network.inputs[random.below(operand)].append(label)
        places -= 2
        if places > 0 and random.chance(40):
            other = random.below(operands)
            if label not in network.inputs[other]:
                network.inputs[other].append(label)
                places -= 1
    while places > 0:
        label = network.label(random.between(low, high))
        for operand in random.sample(range(operands), random.between(2, 4)):
            network.inputs[operand].append(label)
            places -= 1
    network.output = random.sample(list(network.sizes), kept)
    return network


def clauses(random, variables, count):
    """How many assignments satisfy random clauses of three variables: a variable is a label, a clause an operand."""
    network = Network()
    labels = network.labels(variables, 2)
    for _ in range(count):
        network.add(*random.sample(labels, 3))
    # A variable of no clause can have either value.
    free = set(labels) - {label for operand in network.inputs for label in operand}
    for label in sorted(free):
        network.add(label)
    return network
