"""What people write who come from NumPy, opt_einsum and JAX, and what they are told where that is wrong."""

import pickle
import threading

import numpy as np
import pytest

import qeinsum

EQUATION = "bi,io->bo"


def test_a_plan_keeps_its_configuration():
    """It is explained, drawn and exported as it was asked for, after pickling too, and is equal to one without."""
    plan = qeinsum.plan(EQUATION, (8, 32), (32, 16), bits=8)
    plain = qeinsum.plan(EQUATION, (8, 32), (32, 16))
    eight = qeinsum.Config.bits(8)
    for kept in (plan, pickle.loads(pickle.dumps(plan))):
        assert kept.explain() == plain.explain(eight) != plain.explain()
        assert kept.to_stablehlo() == plain.to_stablehlo(eight) != plain.to_stablehlo()
        assert kept.to_onnx() == plain.to_onnx(eight)
        assert kept.to_svg() == plain.to_svg(eight)
    assert plan == plain


def test_a_frozen_operand_says_how_to_serve_it(make):
    x, w = make(8, 32), make(32, 16, seed=1)
    layer = qeinsum.QEinsum(EQUATION, bits=8)
    frozen = layer.freeze(1, w, x, w)
    assert isinstance(frozen.config, qeinsum.Config)
    served = qeinsum.QEinsum(frozen.equation, frozen.config)
    assert (served(x, frozen) == layer(x, w)).all()
    expression = qeinsum.contract_expression(EQUATION, (8, 32), frozen, constants=[1], bits=8)
    assert (expression(x) == layer(x, w)).all()


def test_search_settings_of_plans():
    shapes = [(300,), (300,), (300, 300)]
    assert qeinsum.plan("i,j,ij->ij", *shapes, memory_limit=10**6).slices == [("i", 300)]
    assert qeinsum.plan("i,j,ij->ij", *shapes, memory_limit=1e6).slices == [("i", 300)]
    plan = qeinsum.plan("batch effort, effort out -> batch out", batch=2, effort=3, out=4, named=True, search={})
    assert plan.sizes["effort"] == 3
    assert qeinsum.plan("ij,jk->ik", (2, 3), (3, 4), minimize="time", speeds="shipped").order == "(0,1)"


def test_plans_have_the_type_of_their_operands(make):
    a, b = make(3, 4, dtype=np.float64), make(4, 5, dtype=np.float64)
    assert qeinsum.plan("ij,jk->ik", a, b).peak_bytes == 8 * (12 + 20 + 15)
    assert qeinsum.QEinsum("ij,jk->ik").plan(a, b).peak_bytes == 8 * (12 + 20 + 15)
    assert "f64" in qeinsum.plan("ij,jk->ik", a, b).to_stablehlo()
    assert qeinsum.plan("ij,jk->ik", a, b, dtype="f32").peak_bytes == 4 * (12 + 20 + 15)


def test_interleaved_everywhere(make):
    a, b = make(3, 4), make(4, 5)
    expected = qeinsum.einsum("ij,jk->ik", a, b)
    assert (qeinsum.einsum(a, ["i", "j"], b, ["j", "k"], ["i", "k"]) == expected).all()
    assert (qeinsum.einsum(a, [0, 1], b, [1, 2]) == expected).all()
    assert qeinsum.plan(a, [0, 1], b, [1, 2], [0, 2]).multiplications == 60
    expression = qeinsum.contract_expression((3, 4), [0, 1], (4, 5), [1, 2], [0, 2])
    assert (expression(a, b) == expected).all()
    assert qeinsum.contract_path("i,j->ij", [5], [7])[1].size_dict == {"i": 1, "j": 1}


def test_paths_of_whatever_has_one(make):
    arrays = [make(3, 4), make(4, 5), make(5, 6)]
    path, info = qeinsum.contract_path("ab,bc,cd->ad", *arrays)
    expected = qeinsum.einsum("ab,bc,cd->ad", *arrays)
    for optimize in (path, info, info.plan, None, "branch-all", "random-greedy-128"):
        assert (qeinsum.einsum("ab,bc,cd->ad", *arrays, optimize=optimize) == expected).all()


def test_keys_of_jax_draw_as_jax_does():
    jax = pytest.importorskip("jax")
    key = jax.random.PRNGKey(3)
    partitionable = bool(jax.config.jax_threefry_partitionable)
    ours = qeinsum.Key(3, partitionable=partitionable)
    assert [list(key.data) for key in ours.split()] == jax.random.split(key).tolist()
    layer = qeinsum.QEinsum(EQUATION, qeinsum.Config.v4(drhs_bits=8, noise="jax.uniform"))
    x, w = np.ones((2, 3), np.float32) / 3, np.ones((3, 4), np.float32) / 7
    (y, theirs), (_, own) = layer.vjp(x, w, key=key), layer.vjp(x, w, key=ours)
    assert all((a == b).all() for a, b in zip(theirs(y / 3), own(y / 3)))


def refused(kind, text, call, *arguments, **settings):
    with pytest.raises(kind) as caught:
        call(*arguments, **settings)
    assert text in str(caught.value), caught.value


def test_what_is_wrong_is_named(make):
    a, b = make(3, 4), make(4, 5)
    matmul = ("ij,jk->ik", a, b)
    refused(TypeError, "did you mean 'bits'?", qeinsum.einsum, *matmul, bit=8)
    refused(TypeError, "did you mean 'bits'?", qeinsum.plan, *matmul, bit=8)
    refused(TypeError, "did you mean 'effort'?", qeinsum.Optimizer, effrt=3)
    refused(ValueError, "gredy", qeinsum.Optimizer, "gredy")
    refused(TypeError, "out is an array of float64, but the result is of float32", qeinsum.einsum, *matmul, out=np.empty((3, 5)))
    refused(TypeError, "not list", qeinsum.einsum, *matmul, out=[1])
    refused(ValueError, "constants names operand 2", qeinsum.contract_expression, "ij,jk->ik", (3, 4), b, constants=[2])
    refused(ValueError, "constants names operand -1", qeinsum.contract_expression, "ij,jk->ik", (3, 4), b, constants=[-1])
    refused(TypeError, "give its array", qeinsum.contract_expression, "ij,jk->ik", (3, 4), (4, 5), constants=[1])
    refused(TypeError, "stand after an equation", qeinsum.einsum, a, b, "ij,jk->ik")
    refused(TypeError, "whole numbers", qeinsum.plan, "ij,jk->ik", (None, 3), (3, 4))
    refused(ValueError, "effort is not negative", qeinsum.plan, *matmul, effort=-1)
    refused(TypeError, "memory_limit is a whole number, not '4GiB'", qeinsum.plan, *matmul, memory_limit="4GiB")
    refused(qeinsum.ConfigError, "bits are 2 to 22, not 0", qeinsum.einsum, *matmul, bits=0)
    refused(TypeError, "choose_bits", qeinsum.einsum, *matmul, bits="auto")
    refused(TypeError, "Config.load", qeinsum.einsum, *matmul, config="config.toml")
    refused(qeinsum.ConfigError, "give `key=`", qeinsum.QEinsum("ij,jk->ik", bits=8).vjp, a, b)
    refused(qeinsum.ConfigError, "setting stochastic_rounding=True", qeinsum.Config.v4, stochastic_rounding=True)
    with pytest.raises(qeinsum.ConfigError) as caught:
        qeinsum.Config.v4(stochastic_rounding=True)
    assert caught.value.kind == "config" and caught.value.message == str(caught.value)
    refused(FileNotFoundError, "No such file", qeinsum.Frozen.load, "nope.safetensors")


def test_others_go_on_while_something_long_is_computed():
    """The interpreter's lock is given back: another thread counts during a product."""
    counted, ended = [0], threading.Event()

    def count():
        while not ended.is_set():
            counted[0] += 1

    a = np.ones((1500, 1500))
    other = threading.Thread(target=count)
    other.start()
    before = counted[0]
    qeinsum.QEinsum("ij,jk->ik")(a, a)
    after = counted[0]
    ended.set()
    other.join()
    assert after > before + 1000
