"""ONNX Runtime: Einsum in f32, and what it has for products in int8."""

import numpy as np

from contestants import Contestant, Kind, Local
from server import Refused

OPSET = 21
IR_VERSION = 10


class Model:
    """A graph, node by node, and then a session of it."""

    def __init__(self):
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes, self.constants, self.inputs = [], [], {}

    def input(self, name, array):
        self.inputs[name] = array
        return name

    def constant(self, name, array):
        self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator, inputs, outputs, **attributes):
        self.nodes.append(self.helper.make_node(operator, inputs, outputs, **attributes))
        return outputs

    def session(self, output, dtype, threads):
        """A function of nothing, which gives what is computed from the inputs."""
        import onnxruntime as ort

        tensor = self.helper.make_tensor_value_info
        element = self.helper.np_dtype_to_tensor_dtype
        inputs = [tensor(name, element(array.dtype), array.shape) for name, array in self.inputs.items()]
        outputs = [tensor(output, element(np.dtype(dtype)), None)]
        graph = self.helper.make_graph(self.nodes, "peer", inputs, outputs, self.constants)
        opsets = [self.helper.make_opsetid("", OPSET), self.helper.make_opsetid("com.microsoft", 1)]
        model = self.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, self.inputs)[0]


class Shaped(Local):
    """A product of matrices, whose result is the workload's after its shape is changed, which costs nothing."""

    def __init__(self, run, task):
        super().__init__(run)
        self.shape = task.workload.shape(task.workload.output)

    def result(self):
        return self.run().reshape(self.shape)


def sides(task, operands):
    """The operands as matrices, or as stacks of them."""
    sizes = task.matrices()
    left, right = (sizes.m, sizes.k), (sizes.k, sizes.n)
    if sizes.batch > 1:
        left, right = (sizes.batch, *left), (sizes.batch, *right)
    return operands[0].reshape(left), operands[1].reshape(right)


def einsum(task):
    model = Model()
    inputs = [model.input(f"x{number}", operand) for number, operand in enumerate(task.operands)]
    model.node("Einsum", inputs, ["y"], equation=task.workload.equation)
    return Local(model.session("y", np.float32, task.threads))


def matmul(task):
    model = Model()
    left, right = sides(task, task.operands)
    model.node("MatMul", [model.input("a", left), model.input("b", right)], ["y"])
    return Shaped(model.session("y", np.float32, task.threads), task)


def integers(task):
    """The left side unsigned, as the runtime's quantized models have it."""
    model = Model()
    left, right = sides(task, task.integers)
    model.node("MatMulInteger", [model.input("a", left.view(np.uint8)), model.input("b", right)], ["y"])
    return Shaped(model.session("y", np.int32, task.threads), task)


def dynamic(task):
    """Both sides quantized on the way, each with one scale, which is less work than one for each row and column."""
    model = Model()
    quantized = []
    for name, operand in zip("ab", sides(task, task.operands)):
        outputs = [f"{name}_values", f"{name}_scale", f"{name}_zero"]
        quantized.append(model.node("DynamicQuantizeLinear", [model.input(name, operand)], outputs))
    (a, a_scale, a_zero), (b, b_scale, b_zero) = quantized
    model.node("MatMulInteger", [a, b, a_zero, b_zero], ["sums"])
    model.node("Cast", ["sums"], ["floats"], to=1)
    model.node("Mul", [a_scale, b_scale], ["scale"])
    model.node("Mul", ["floats", "scale"], ["y"])
    return Shaped(model.session("y", np.float32, task.threads), task)


def constant_weights(task):
    """The right side quantized before, with a scale for each column; the left one on the way, with one scale."""
    left, right = sides(task, task.operands)
    if right.ndim != 2:
        raise Refused("its weights are one matrix")
    scale = np.abs(right).max(axis=0) / np.float32(127)
    model = Model()
    weights = [
        model.constant("b", np.rint(right / scale).astype(np.int8)),
        model.constant("b_scale", scale),
        model.constant("b_zero", np.zeros(scale.shape, np.int8)),
    ]
    model.node("DynamicQuantizeMatMul", [model.input("a", left), *weights], ["y"], domain="com.microsoft")
    return Shaped(model.session("y", np.float32, task.threads), task)


CONTESTANTS = [
    Contestant("ORT Einsum", "ort", Kind.FLOAT, einsum),
    Contestant("ORT MatMul", "ort", Kind.FLOAT, matmul),
    Contestant("ORT dynamic", "ort", Kind.QUANTIZED, dynamic),
    Contestant("ORT DynamicQuantizeMatMul", "ort", Kind.FROZEN, constant_weights),
    Contestant("ORT MatMulInteger", "ort", Kind.INTEGER, integers),
]
