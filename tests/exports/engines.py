"""The engines: jaxlib for StableHLO, on one device and on four, and onnxruntime for ONNX, with and without optimizations."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from jax import export
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxlib.mlir.dialects import stablehlo

DEVICES = 4
# The version that the text is serialized for: the oldest that jaxlib writes has all of its operations.
STABLEHLO = "0.9.0"
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def magnitudes(equation, arrays):
    """What the equation gives for the magnitudes of the operands."""
    wide = [np.abs(array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)) for array in arrays]
    return np.einsum(equation, *wide)


def runs(name, case, arrays, expected, reference):
    """Each run of an engine: its name, and a function that gives a result and a note."""
    if name == "stablehlo":
        text = reference.export("stablehlo").decode()
        yield "jaxlib, 1 device", functools.partial(on_one_device, text, arrays, expected)
        for what, axes in case.shards:
            yield f"jaxlib, {DEVICES} devices, {what} label sharded", functools.partial(
                on_devices, text, arrays, expected, what, axes)
    else:
        model = reference.export("onnx")
        for optimized in (True, False):
            word = "optimized" if optimized else "as it is"
            yield f"onnxruntime, {word}", functools.partial(by_onnxruntime, model, arrays, optimized)


def module(text, arrays, expected):
    """The text as a function of jax."""
    like = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
    # What jax says of a function of these types, with this text in its place.
    empty = export.export(jax.jit(lambda *_: jnp.zeros(expected.shape, expected.dtype)))(*like)
    artifact = stablehlo.serialize_portable_artifact_str(text, STABLEHLO)
    kept = tuple(range(len(arrays)))
    return dataclasses.replace(empty, mlir_module_serialized=artifact, module_kept_var_idx=kept).call


def on_one_device(text, arrays, expected):
    run = jax.jit(module(text, arrays, expected)).lower(*arrays).compile()
    return np.asarray(run(*arrays)), ""


def without_barriers(text):
    """The same module, about all of whose values an engine may assume what it likes."""
    return re.sub(r"= stablehlo\.optimization_barrier (%\w+) : (.*)", r"= stablehlo.reshape \1 : (\2) -> \2", text)


def on_devices(text, arrays, expected, what, axes):
    mesh = Mesh(np.array(jax.devices()[:DEVICES]), ("shards",))

    def sharding(array, axis):
        spec = [None] * array.ndim
        if axis is not None:
            spec[axis] = "shards"
        return NamedSharding(mesh, PartitionSpec(*spec))

    placed = [jax.device_put(array, sharding(array, axis)) for array, axis in zip(arrays, axes)]
    compiled = jax.jit(module(text, arrays, expected)).lower(*placed).compile()
    found = np.asarray(compiled(*placed))
    lines = [line for line in compiled.as_text().splitlines() if " = " in line]
    counted = {}
    for line in lines:
        right = line.split(" = ", 1)[1]
        for name in COLLECTIVES:
            if f" {name}(" in right or f" {name}-start(" in right:
                kind = right.split("[", 1)[0].lstrip("(")
                counted[f"{kind} {name}"] = counted.get(f"{kind} {name}", 0) + 1
    # Of a quantized plan: what is sharded along a label that no call sums stays where it is, and what is added up between
    # devices are integers.
    if what != "contracted" and counted:
        raise RuntimeError(f"a {what} label needs no collective, but there are {counted}")
    if what == "contracted" and not counted.get("s32 all-reduce"):
        raise RuntimeError(f"integers should be added up between devices, but there are {counted}")
    note = ", ".join(f"{number} {name}" for name, number in sorted(counted.items())) or "no collective"
    return found, f" ({note})"


def by_onnxruntime(model, arrays, optimized):
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # By addresses, since NumPy has no bf16 and onnxruntime converts none of it.
    binding = session.io_binding()
    arrays = [np.ascontiguousarray(array) for array in arrays]
    (result,) = session.get_outputs()
    found = np.empty(result.shape, arrays[0].dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(found.dtype)
    for value, array in zip(session.get_inputs(), arrays):
        binding.bind_input(value.name, "cpu", 0, kind, array.shape, array.ctypes.data)
    binding.bind_output(result.name, "cpu", 0, kind, found.shape, found.ctypes.data)
    session.run_with_iobinding(binding)
    return found, ""
