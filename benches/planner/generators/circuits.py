"""Amplitudes of quantum circuits. Diagonal gates do not change the label of a qubit, so that many operands share it."""

from .graphs import connected, pairing
from .network import Network


class Circuit(Network):
    def __init__(self, qubits):
        super().__init__()
        self.wires = self.labels(qubits, 2)
        self.ends()

    def ends(self):
        for wire in self.wires:
            self.add(wire)

    def gate(self, *qubits):
        before = [self.wires[qubit] for qubit in qubits]
        after = self.labels(len(qubits), 2)
        for qubit, wire in zip(qubits, after):
            self.wires[qubit] = wire
        self.add(*before, *after)

    def diagonal(self, *qubits):
        self.add(*(self.wires[qubit] for qubit in qubits))


def random_circuit(random, rows, columns, cycles):
    """Gates of two qubits on a lattice, on one of four sets of its bonds in each cycle; a tenth of them is left out."""
    circuit = Circuit(rows * columns)
    # Which way the bonds go, and whether they begin at an even place.
    patterns = ((0, 0), (1, 0), (0, 1), (1, 1))
    for cycle in range(cycles):
        axis, start = patterns[cycle % 4]
        for row in range(rows):
            for column in range(columns):
                other = (row + (axis == 0), column + (axis == 1))
                place = row if axis == 0 else column
                if place % 2 == start and other[0] < rows and other[1] < columns and not random.chance(10):
                    circuit.gate(row * columns + column, other[0] * columns + other[1])
    circuit.ends()
    return circuit


def qaoa(random, qubits, layers):
    """Phases on the edges of a random graph with three edges at each vertex, then a rotation of every qubit."""
    edges = None
    while edges is None or not connected(qubits, edges):
        edges = pairing(random, qubits, 3)
    circuit = Circuit(qubits)
    for _ in range(layers):
        for edge in edges:
            circuit.diagonal(*edge)
        for qubit in range(qubits):
            circuit.gate(qubit)
    circuit.ends()
    return circuit


def qft(_random, qubits):
    """The Fourier transform."""
    circuit = Circuit(qubits)
    for qubit in range(qubits):
        circuit.gate(qubit)
        for other in range(qubit + 1, qubits):
            circuit.diagonal(qubit, other)
    circuit.ends()
    return circuit
