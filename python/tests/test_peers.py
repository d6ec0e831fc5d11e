"""Our search in other libraries, and theirs in ours, on networks of fifty operands."""

import cotengra
import jax
import jax.numpy as jnp
import numpy as np
import opt_einsum

import qeinsum
from qeinsum import Optimizer


def network(operands, seed=0, size=2):
    """A random tree with a few more bonds: an equation and its arrays, whose result is a scalar."""
    random = np.random.default_rng(seed)
    terms = [[] for _ in range(operands)]
    bonds = 0
    for number in range(1, operands):
        partners = {int(random.integers(number))} | ({int(random.integers(number))} if number % 3 == 0 else set())
        for partner in sorted(partners):
            for end in (number, partner):
                terms[end].append(opt_einsum.get_symbol(bonds))
            bonds += 1
    equation = ",".join("".join(term) for term in terms) + "->"
    arrays = [random.uniform(0.5, 1.0, [size] * len(term)) for term in terms]
    return equation, arrays


def test_ours_in_opt_einsum():
    equation, arrays = network(50)
    ours = Optimizer()
    path, info = opt_einsum.contract_path(equation, *arrays, optimize=ours)
    greedy = opt_einsum.contract_path(equation, *arrays, optimize="greedy")[1]
    assert ours.plan is not None and path == ours.plan.path
    assert info.opt_cost <= greedy.opt_cost
    result = opt_einsum.contract(equation, *arrays, optimize=ours)
    np.testing.assert_allclose(result, opt_einsum.contract(equation, *arrays, optimize="greedy"), rtol=1e-8)
    np.testing.assert_allclose(qeinsum.einsum(equation, *arrays), result, rtol=1e-8)


def test_ours_in_cotengra():
    equation, arrays = network(50, seed=1)
    expected = opt_einsum.contract(equation, *arrays, optimize="greedy")
    np.testing.assert_allclose(cotengra.einsum(equation, *arrays, optimize=Optimizer()), expected, rtol=1e-8)
    inputs, output = [tuple(term) for term in equation[:-2].split(",")], ()
    sizes = {label: 2 for term in inputs for label in term}
    tree = Optimizer().search(inputs, output, sizes)
    assert tree.contraction_cost() > 0
    np.testing.assert_allclose(tree.contract(arrays), expected, rtol=1e-8)


def test_ours_in_jax():
    equation, arrays = network(50, seed=2)
    arrays = [array.astype(np.float32) for array in arrays]
    ours = Optimizer()
    result = jnp.einsum(equation, *arrays, optimize=ours)
    assert ours.plan is not None and len(ours.plan.path) == 49
    np.testing.assert_allclose(result, qeinsum.einsum(equation, *arrays), rtol=1e-3)


def test_theirs_in_ours():
    equation, arrays = network(50, seed=3)
    expected = qeinsum.einsum(equation, *arrays)
    theirs = [
        opt_einsum.paths.greedy,
        opt_einsum.RandomGreedy(max_repeats=4),
        cotengra.GreedyOptimizer(),
        cotengra.HyperOptimizer(max_repeats=4, parallel=False, progbar=False),
    ]
    for optimizer in theirs:
        np.testing.assert_allclose(qeinsum.einsum(equation, *arrays, optimize=optimizer), expected, rtol=1e-8)
    path = opt_einsum.contract_path(equation, *arrays, optimize="greedy")[0]
    np.testing.assert_allclose(qeinsum.einsum(equation, *arrays, optimize=path), expected, rtol=1e-8)


def test_hyperedges_and_outputs_in_opt_einsum():
    arrays = [np.random.default_rng(n).random((3, 4)) for n in range(3)] + [np.random.default_rng(9).random(4)]
    equation = "ax,bx,cx,x->ab"
    np.testing.assert_allclose(
        opt_einsum.contract(equation, *arrays, optimize=Optimizer("optimal")), np.einsum(equation, *arrays), rtol=1e-10
    )


def test_arrays_of_jax():
    a, b = jnp.arange(6.0).reshape(2, 3), jnp.ones((3, 4))
    np.testing.assert_allclose(qeinsum.einsum("ij,jk->ik", a, b), a @ b)
    half = qeinsum.einsum("ij,jk->ik", a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    key = jax.random.PRNGKey(3)
    dense = qeinsum.QEinsum("ij,jk->ik", qeinsum.Config.v4(drhs_bits=8))
    one, two = (dense.vjp(a, b, key=key)[1](np.ones((2, 4), np.float32)) for key in (key, 3))
    assert all((x == y).all() for x, y in zip(one, two))
    np.testing.assert_allclose(jnp.from_dlpack(qeinsum.einsum("ij,jk->ik", a, b)), a @ b)
