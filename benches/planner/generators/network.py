"""A network that is put together label by label."""


class Network:
    def __init__(self):
        self.inputs = []
        self.output = []
        self.sizes = {}

    def label(self, size):
        """A new label."""
        name = f"i{len(self.sizes)}"
        self.sizes[name] = size
        return name

    def labels(self, count, size):
        return [self.label(size) for _ in range(count)]

    def add(self, *labels):
        """An operand."""
        self.inputs.append(list(labels))

    def graph(self, vertices, edges, size):
        """An operand for every vertex and a label for every edge, of a size that is given or drawn for each."""
        operands = [[] for _ in range(vertices)]
        for one, other in edges:
            label = self.label(size() if callable(size) else size)
            operands[one].append(label)
            operands[other].append(label)
        self.inputs.extend(operands)
        return self


def named(sizes, equation):
    """A network as an equation of one-letter labels."""
    network = Network()
    operands, output = equation.split("->")
    network.inputs = [list(operand) for operand in operands.split(",")]
    network.output = list(output)
    network.sizes = {label: sizes[label] for label in sorted(set(equation) - set(",->"))}
    return network
