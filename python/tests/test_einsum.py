"""The functions, beside those of NumPy and opt_einsum."""

import doctest
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import qeinsum
from qeinsum import _calls, _config, _layer

EQUATIONS = [
    ("ij,jk->ik", [(3, 4), (4, 5)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bhqk,bkhd->bqhd", [(2, 3, 4, 5), (2, 5, 3, 6)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (7, 4, 5)]),
    ("ij,jk,kl,lm->im", [(3, 4), (4, 5), (5, 6), (6, 7)]),
    ("ii->i", [(4, 4)]),
    ("ij->", [(3, 4)]),
    ("i,j->ij", [(3,), (4,)]),
    ("ij,ij->ij", [(3, 4), (3, 4)]),
    ("ab,bc,ca->", [(3, 4), (4, 5), (5, 3)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    (",ij->ij", [(), (3, 4)]),
]


@pytest.mark.parametrize("module", [qeinsum, _calls, _config, _layer])
def test_examples(module):
    done = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted > 0 and done.failed == 0


@pytest.mark.parametrize("equation, shapes", EQUATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_as_numpy(make, equation, shapes, dtype):
    arrays = [make(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate(shapes)]
    result, expected = qeinsum.einsum(equation, *arrays), np.einsum(equation, *arrays)
    assert result.dtype == expected.dtype and result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-4 if np.dtype(dtype).itemsize < 16 else 1e-10, atol=1e-5)


def test_half_types(make):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        a, b = make(3, 4).astype(dtype), make(4, 5, seed=1).astype(dtype)
        result = qeinsum.einsum("ij,jk->ik", a, b)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.astype(np.float32), a.astype(np.float32) @ b.astype(np.float32), rtol=2e-2, atol=2e-2)
        assert qeinsum.einsum("ij,jk->ik", a, b, bits=8).dtype == dtype


def test_arrays_are_read_where_they_lie(make):
    a = make(6, 8)
    for view in (a.T, a[::-1], a[:, ::2], np.broadcast_to(a[0], (5, 8)), np.asfortranarray(a), a[1:1]):
        np.testing.assert_allclose(qeinsum.einsum("ij->ji", view), view.T)
    swapped = a.astype(a.dtype.newbyteorder())
    np.testing.assert_array_equal(qeinsum.einsum("ij->ij", swapped), a)
    packed = np.zeros(4, dtype=np.dtype([("pad", "i1"), ("x", "f4")]))
    packed["x"] = [1, 2, 3, 4]
    assert qeinsum.einsum("i->", packed["x"]) == 10


def test_out_is_written_in_place(make):
    a, b, out = make(3, 4), make(4, 5, seed=1), np.zeros((5, 3), np.float32).T
    assert qeinsum.einsum("ij,jk->ik", a, b, out=out) is out
    np.testing.assert_array_equal(out, qeinsum.einsum("ij,jk->ik", a, b))
    with pytest.raises(ValueError, match="out has shape"):
        qeinsum.einsum("ij,jk->ik", a, b, out=np.zeros((3, 4), np.float32))
    with pytest.raises(TypeError):
        qeinsum.einsum("ij,jk->ik", a, b, out=np.zeros((3, 5)))
    square = make(3, 3, seed=4)
    expected = square @ square
    assert qeinsum.einsum("ij,jk->ik", square, square, out=square) is square
    np.testing.assert_allclose(square, expected, rtol=1e-5, atol=1e-6)
    out.flags.writeable = False
    with pytest.raises((TypeError, ValueError)):
        qeinsum.einsum("ij,jk->ik", a, b, out=out)


def test_errors_show_the_place(make):
    with pytest.raises(qeinsum.EquationError) as raised:
        qeinsum.einsum("ij,jk->iz", make(2, 3), make(3, 4))
    assert str(raised.value).endswith("\n  ij,jk->iz\n          ^")
    assert (raised.value.kind, raised.value.spans) == ("syntax", [(8, 9)])
    with pytest.raises(qeinsum.ShapeError, match="two sizes: 3 .* and 4"):
        qeinsum.einsum("ij,jk->ik", make(2, 3), make(4, 5))
    with pytest.raises(TypeError, match="operand 0 is float32, but operand 1 is float64"):
        qeinsum.einsum("ij,jk->ik", make(2, 3), make(3, 4, dtype=np.float64))
    with pytest.raises(TypeError, match="int64"):
        qeinsum.einsum("ij->i", np.ones((2, 3), int))
    with pytest.raises(qeinsum.ConfigError, match="99"):
        qeinsum.einsum("ij,jk->ik", make(2, 3), make(3, 4), bits=99)
    with pytest.raises(TypeError, match="not both"):
        qeinsum.einsum("ij,jk->ik", make(2, 3), make(3, 4), bits=8, config=qeinsum.Config.v4())
    with pytest.raises(qeinsum.PathError):
        qeinsum.einsum("ij,jk->ik", make(2, 3), make(3, 4), optimize=[(0, 5)])
    assert issubclass(qeinsum.Error, ValueError)


def test_what_does_not_fit_in_memory_is_refused():
    huge = np.broadcast_to(np.float32(1), (1 << 22, 1 << 21))
    with pytest.raises(MemoryError, match="memory limit"):
        qeinsum.einsum("ab,ab->ab", huge, huge)


def test_types_are_converted_where_asked(make):
    a, b = make(2, 3), make(3, 4, dtype=np.float64)
    assert qeinsum.einsum("ij,jk->ik", a, b, dtype=np.float64).dtype == np.float64
    assert qeinsum.einsum("ij->i", [[1, 2], [3, 4]], dtype=np.float32).tolist() == [3, 7]


def test_paths_of_all_notations(make):
    arrays = [make(2, 3), make(3, 4, seed=1), make(4, 5, seed=2)]
    expected = np.einsum("ab,bc,cd->ad", *arrays)
    for optimize in (True, False, "optimal", "greedy", "anneal", "reference", [(1, 2), (0, 1)], ["einsum_path", (0, 1), (0, 1)]):
        np.testing.assert_allclose(qeinsum.einsum("ab,bc,cd->ad", *arrays, optimize=optimize), expected, rtol=1e-5, atol=1e-5)
    path, info = qeinsum.contract_path("ab,bc,cd->ad", *arrays, optimize=[(1, 2), (0, 1)])
    assert path == [(1, 2), (0, 1)] and info.opt_cost == 3 * 4 * 5 + 2 * 3 * 5


def test_plans(make):
    plan = qeinsum.plan("ab,bc,cd->ad", (2, 30), (30, 4), (4, 50))
    assert plan == qeinsum.plan("ab,bc,cd->ad", a=2, b=30, c=4, d=50)
    assert pickle.loads(pickle.dumps(plan)) == plan and hash(plan) == hash(qeinsum.Plan.from_json(plan.to_json()))
    assert (plan.order, plan.multiplications, plan.optimal) == ("(0,1) (0,1)", 640, True)
    assert plan.ssa_path == [(0, 1), (2, 3)] and plan.sizes == {"a": 2, "b": 30, "c": 4, "d": 50}
    assert "next best order" in plan.explain() and plan._repr_svg_().startswith("<svg") and "<html" in plan.to_html()
    config = qeinsum.Config.v4()
    assert "lhs int8" in plan.explain(config) and "int8" in plan.to_svg(config)
    assert "stablehlo.dot_general" in plan.to_stablehlo(config) and b"MatMulInteger" in plan.to_onnx(config)
    with pytest.raises(TypeError, match="qeinsum.Config"):
        plan.explain("int8")
    with pytest.raises(qeinsum.PlanError):
        qeinsum.Plan.from_json("{}")
    huge = qeinsum.contract_path("ab,bc->ac", (2**25, 2**25), (2**25, 2**25), shapes=True)[1]
    assert huge.opt_cost == huge.naive_cost == 2**75
    sliced = qeinsum.plan("ab,bc,cd,da->", *[(300, 300)] * 4, search={"memory_limit": 1_500_000})
    assert sliced.slices and sliced.peak_bytes <= 1_500_000
    assert "·" in qeinsum.QEinsum("ij,jk->ik").symbolic()


def test_expressions(make):
    a, b, c = make(2, 3), make(3, 4, seed=1), make(4, 5, seed=2)
    expression = qeinsum.contract_expression("ab,bc,cd->ad", (2, 3), b, (4, 5), constants=[1])
    np.testing.assert_allclose(expression(a, c), a @ b @ c, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="takes 2 operands"):
        expression(a)
    with pytest.raises(ValueError, match="operand 2 has shape"):
        expression(a, a)
    quantized = qeinsum.contract_expression("ab,bc->ac", (2, 3), b, constants=[1], bits=8)
    np.testing.assert_array_equal(quantized(a), qeinsum.einsum("ab,bc->ac", a, b, bits=8))


def test_named_and_interleaved(make):
    a, b = make(2, 3), make(3, 4, seed=1)
    expected = qeinsum.einsum("ij,jk->ik", a, b)
    np.testing.assert_array_equal(qeinsum.einsum("row mid, mid col -> row col", a, b, named=True), expected)
    np.testing.assert_array_equal(qeinsum.einsum(a, [0, 1], b, [1, 2]), expected)
    np.testing.assert_array_equal(qeinsum.einsum(a, [..., 1], b, [1, 2], [..., 2]), expected)


def test_threads_share_an_equation(make):
    layer, a, b = qeinsum.QEinsum("ij,jk->ik", bits=8), make(64, 64), make(64, 64, seed=1)
    expected, results = layer(a, b), []
    threads = [threading.Thread(target=lambda: results.append(layer(a, b))) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(results) == 8 and all((result == expected).all() for result in results)


def interrupted(code):
    """What a program prints that is sent a signal a second after it says that it is ready."""
    # What runs in the background of a shell ignores the signal, and so would its children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    return child.communicate(timeout=30)[0]


def test_a_long_search_can_be_interrupted():
    """A signal ends a search of an hour, and nothing else."""
    code = (
        "import qeinsum, random\n"
        "random.seed(0)\n"
        "ends = [number for number in range(300) for _ in range(3)]\n"
        "random.shuffle(ends)\n"
        "terms = [[] for _ in range(300)]\n"
        "for bond in range(450):\n"
        "    for end in ends[2 * bond : 2 * bond + 2]:\n"
        "        terms[end].append(f'b{bond}')\n"
        "equation = ', '.join(map(' '.join, terms)) + ' ->'\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    qeinsum.plan(equation, *[(2,) * len(term) for term in terms], named=True, search={'time_budget': 3600.0})\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert interrupted(code) == "interrupted\n"


@pytest.mark.parametrize(
    "run",
    [
        "qeinsum.einsum('ij,jk,kl->il', a, a, a)",
        "pull(a)",
        "quantized.choose_bits(a, a, a, min_sqnr=200.0)",
    ],
)
def test_a_long_run_can_be_interrupted(run):
    """A signal ends a run of minutes, and the next one is as any other."""
    code = (
        "import numpy as np, qeinsum\n"
        "quantized = qeinsum.QEinsum('ij,jk,kl->il', config=qeinsum.Config.v4())\n"
        "a = np.ones((2000, 2000), np.float32)\n"
        "pull = qeinsum.QEinsum('ij,jk,kl->il').vjp(a, a, a)[1]\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    for _ in range(1000):\n"
        f"        {run}\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', qeinsum.einsum('ij->', a[:2, :2]))\n"
    )
    assert interrupted(code) == "interrupted 4.0\n"


def test_threads_change_no_bit():
    code = (
        "import numpy as np, qeinsum, sys\n"
        "qeinsum.set_threads(int(sys.argv[1]))\n"
        "r = lambda seed, *shape: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)\n"
        "for bits in (None, 8):\n"
        "    print(qeinsum.einsum('ij,jk->ik', r(0, 300, 400), r(1, 400, 200), bits=bits).tobytes().hex()[:4000])\n"
    )
    outputs = {subprocess.check_output([sys.executable, "-c", code, str(count)]) for count in (1, 2, 3)}
    assert len(outputs) == 1
