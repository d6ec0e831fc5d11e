"""The examples run, and say what they should."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

import qeinsum

EXAMPLES = Path(__file__).parents[1] / "examples"
README = Path(__file__).parents[2] / "README.md"


def test_the_scripts_of_the_guide():
    """Those that the pages for people of other libraries show run as they stand."""
    text = (Path(__file__).parents[2] / "src/guide/coming_from.md").read_text()
    scripts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        exec(compile(script, "coming_from.md", "exec"), {})


def test_the_script_of_the_readme():
    text = (EXAMPLES / "numpy_script.py").read_text()
    assert text.strip() in README.read_text(), "the README prints another script"
    done = subprocess.run([sys.executable, EXAMPLES / "numpy_script.py"], capture_output=True, text=True, check=True)
    error = re.match(r"largest error ([0-9.e-]+)", done.stdout)
    assert error and float(error[1]) < 0.02 and "path (1,2) (0,1)" in done.stdout


def test_a_layer_in_jax():
    spec = importlib.util.spec_from_file_location("jax_layer", EXAMPLES / "jax_layer.py")
    layer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layer)
    losses = layer.main()
    assert losses[-1] < 1e-2 * losses[0]
    random = np.random.default_rng(1)
    x, w, g = (random.standard_normal(shape).astype(np.float32) for shape in ((5, 6), (6, 7), (5, 7)))
    key = jax.random.PRNGKey(3)
    y, pull = jax.vjp(lambda x, w: layer.dense(x, w, key), x, w)
    ours, our_pull = layer.DENSE.vjp(x, w, key=3)
    np.testing.assert_array_equal(y, ours)
    for theirs, own in zip(pull(g), our_pull(g)):
        np.testing.assert_array_equal(theirs, own)


PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def checked(folder, *command):
    """A checker of types finds nothing in what is installed."""
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_of_the_package(tmp_path):
    checked(tmp_path, "mypy", "--config-file", PYPROJECT, "--strict", "-p", "qeinsum")


def test_types_of_what_is_compiled(tmp_path):
    checked(tmp_path, "mypy.stubtest", "--mypy-config-file", PYPROJECT, "qeinsum")


def test_types_of_a_program(tmp_path):
    script = tmp_path / "typed.py"
    script.write_text(
        "from typing import Any\n"
        "import numpy as np, numpy.typing as npt, qeinsum\n"
        "from typing_extensions import assert_type\n"
        "layer: qeinsum.QEinsum = qeinsum.QEinsum('ij,jk->ik', bits=8)\n"
        "plan: qeinsum.Plan = layer.plan((2, 3), (3, 4))\n"
        "cost: int = plan.multiplications\n"
        "path, info = qeinsum.contract_path('ij,jk->ik', (2, 3), (3, 4), shapes=True)\n"
        "optimal: bool = info.optimal\n"
        "config: qeinsum.Config = qeinsum.Config.v4(fwd_bits=4).with_operand(1, bits=8)\n"
        "x, w = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)\n"
        "assert_type(qeinsum.einsum('ij,jk->ik', x, w), npt.NDArray[Any])\n"
        "assert_type(qeinsum.contract_expression('ij,jk->ik', x, w)(x, w), npt.NDArray[Any])\n"
        "assert_type(layer(x, w), npt.NDArray[Any])\n"
        "y, pull = layer.vjp(x, w, key=0)\n"
        "assert_type(y, npt.NDArray[Any])\n"
        "assert_type(pull(y), tuple[npt.NDArray[Any], ...])\n"
        "assert_type(layer.freeze(1, w, x, w).values, npt.NDArray[Any])\n"
        "assert_type(info.contraction_list[0][2], str)\n"
    )
    checked(tmp_path, "mypy", "--strict", str(script))
    subprocess.run([sys.executable, script], check=True)


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", qeinsum.__version__)
