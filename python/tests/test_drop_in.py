"""Programs written for NumPy's and `opt_einsum`'s einsum run as they stand, or are told what to change."""

import copy
import pickle

import numpy as np
import opt_einsum
import pytest

import qeinsum

CHAIN = "ab,bc,cd->ad"
SHAPES = [(2, 30), (30, 4), (4, 50)]


def refused(kind, text, call, *arguments, **settings):
    with pytest.raises(kind) as caught:
        call(*arguments, **settings)
    assert text in str(caught.value), caught.value
    return caught.value


def test_limits_that_are_none():
    for none in (-1, -1.0, None):
        assert qeinsum.plan(CHAIN, *SHAPES, memory_limit=none) == qeinsum.plan(CHAIN, *SHAPES)
        assert qeinsum.contract_path(CHAIN, *SHAPES, shapes=True, memory_limit=none)[0] == [(0, 1), (0, 1)]
    for call in (qeinsum.plan, qeinsum.contract_expression):
        refused(TypeError, "minimize='size'", call, CHAIN, *SHAPES, memory_limit="max_input")
    refused(ValueError, "memory_limit is not negative", qeinsum.plan, CHAIN, *SHAPES, memory_limit=-2)


def test_bounds_beside_the_name_of_a_search(make):
    arrays = [make(*shape, seed=seed) for seed, shape in enumerate(SHAPES)]
    expected = qeinsum.einsum(CHAIN, *arrays, optimize="greedy")
    for bound in (10**9, 1e9, 100):
        assert (qeinsum.einsum(CHAIN, *arrays, optimize=("greedy", bound)) == expected).all()
    # An outer product is larger than the bound, and has to be made.
    assert qeinsum.einsum("i,j->ij", make(5), make(6), optimize=("greedy", 1)).shape == (5, 6)
    large = ("ab,bc,cd,da->", (2, 30), (30, 4), (4, 50), (50, 2))
    error = refused(qeinsum.LimitError, "minimize='size'", qeinsum.plan, *large, optimize=("optimal", 1))
    assert (error.kind, error.message, error.spans) == ("limit", str(error), [])
    refused(TypeError, "whole number", qeinsum.plan, *large, optimize=("greedy", "small"))
    layer = qeinsum.QEinsum(CHAIN, optimize=("greedy", 10**9))
    assert (pickle.loads(pickle.dumps(layer))(*arrays) == expected).all()


def test_arguments_that_ask_for_what_is_done_anyway(make):
    a, b = make(3, 4), make(4, 5, seed=1)
    matmul = ("ij,jk->ki", a, b)
    expected = qeinsum.einsum(*matmul)
    done = [{"casting": "safe"}, {"order": "K"}, {"order": "C"}, {"backend": "numpy"}, {"use_blas": False}]
    for settings in [*done, {"backend": "auto", "use_blas": True, "casting": "unsafe", "dtype": np.float32, "effort": 1}]:
        result = qeinsum.einsum(*matmul, **settings)
        assert result.flags.c_contiguous and (result == expected).all()
        assert qeinsum.contract_path(*matmul, **settings)[0] == [(0, 1)]
    expression = qeinsum.contract_expression("ij,jk->ki", (3, 4), (4, 5), use_blas=True, constants=None)
    assert (expression(a, b, backend="numpy") == expected).all()


def test_arguments_that_ask_for_something_else(make):
    a, b = make(3, 4), make(4, 5)
    matmul = ("ij,jk->ik", a, b)
    refused(TypeError, "order='F' is not taken: results lie in C order: give an array", qeinsum.einsum, *matmul, order="F")
    refused(TypeError, "casting='no' is not taken", qeinsum.einsum, *matmul, casting="no")
    refused(TypeError, "casting='safe' is not taken", qeinsum.einsum, *matmul, casting="safe", dtype=np.float16)
    refused(TypeError, "backend='torch' is not taken", qeinsum.contract_expression, "ij,jk->ik", a, b, backend="torch")
    expression = qeinsum.contract_expression("ij,jk->ik", a, b)
    refused(TypeError, "backend='jax' is not taken", expression, a, b, backend="jax")
    refused(TypeError, "'order' is not taken", qeinsum.plan, *matmul, order="F")
    refused(TypeError, "'use_blas' is not taken", qeinsum.QEinsum, "ij,jk->ik", use_blas=True)


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("i×,×k->ik", [(2, 3), (3, 4)]),
        ("×i,ik", [(3, 2), (2, 4)]),
        ("×÷,÷\u02c2,\u02c2\u0300->\u0300×", [(2, 3), (3, 4), (4, 5)]),
        ("...×,×÷->...÷", [(5, 2, 3), (3, 4)]),
        ("...×k,÷×...", [(5, 3, 4), (2, 3, 5)]),
        ("×× -> ×", [(3, 3)]),
        ("À×,×Ü->ÀÜ", [(2, 3), (3, 4)]),
    ],
)
def test_symbols_of_opt_einsum_are_labels(make, equation, shapes):
    arrays = [make(*shape, dtype=np.float64, seed=seed) for seed, shape in enumerate(shapes)]
    expected = opt_einsum.contract(equation, *arrays)
    np.testing.assert_allclose(qeinsum.einsum(equation, *arrays), expected, rtol=1e-12)
    layer = pickle.loads(pickle.dumps(qeinsum.QEinsum(equation)))
    np.testing.assert_allclose(layer(*arrays), expected, rtol=1e-12)
    # The equation that a plan shows is one that is taken again.
    assert qeinsum.plan(layer.plan(*arrays).equation, *shapes) == qeinsum.plan(equation, *shapes)


def test_all_symbols_of_opt_einsum():
    """Arrows and surrogates are labels too where somebody has counted through them."""
    labels = [opt_einsum.get_symbol(number) for number in (*range(9000), *range(55_200, 55_300))]
    terms = [labels[start : start + 60] for start in range(0, len(labels), 60)]
    equation = ",".join(map("".join, terms)) + "->" + labels[8454]
    assert "→" in equation and "\ud85e" in equation
    plan = qeinsum.plan(equation, *[(1,) * len(term) for term in terms], optimize="greedy")
    assert len(plan.sizes) == len(labels)
    assert qeinsum.plan("×i,i->×", **{"×": 2, "i": 3}).shapes == [(2, 3), (3,)]


def test_wrong_equations_stay_wrong(make):
    a, b = make(2, 3), make(3, 4)

    def error(equation, kind=qeinsum.EquationError, operands=(a, b)):
        with pytest.raises(kind) as caught:
            qeinsum.plan(equation, *operands)
        assert caught.value.message == str(caught.value).split("\n")[0]
        return str(caught.value).split("\n", 1)[1], caught.value.spans

    assert error("i$,jk->ik") == ("  i$,jk->ik\n   ^", [(1, 2)])
    assert error("i×,×k→ik") == ("  i×,×k→ik\n       ^", [(7, 10)])
    assert error("…×,×k->…k") == ("  …×,×k->…k\n  ^", [(0, 3)])
    assert error("i×;×k->ik") == ("  i×;×k->ik\n    ^", [(3, 4)])
    assert error("i×,×k->÷k") == ("  i×,×k->÷k\n         ^", [(9, 11)])
    assert error("i×,×k", qeinsum.ShapeError, (a, b.T)) == ("  i×,×k\n   ^ ^", [(1, 3), (4, 6)])
    assert error("i×,×k->ik", qeinsum.ShapeError, (a,)) == ("  i×,×k->ik\n     ^^", [(4, 7)])


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
        ("ab,b,a,cd->ad", [(3, 4), (4,), (3,), (5, 6)]),
        ("bij,bjk,bkl->bil", [(2, 3, 4), (2, 4, 5), (2, 5, 6)]),
        ("ax,bx,cx,x->ab", [(2, 3), (4, 3), (5, 3), (3,)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (7, 4, 5)]),
        ("ii,ij->", [(3, 3), (3, 4)]),
        ("ab->b", [(2, 3)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ab,bc", [(2, 3), (3, 4)]),
    ],
)
def test_what_is_known_of_a_path_is_what_opt_einsum_knows(make, equation, shapes):
    arrays = [make(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    path, ours = qeinsum.contract_path(equation, *arrays)
    theirs = opt_einsum.contract_path(ours.eq, *arrays, optimize=path)[1]
    for name in ("eq", "input_subscripts", "output_subscript", "path", "indices", "scale_list", "size_list", "size_dict"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.shapes == shapes
    # Ours is of the calls, of which a sum over one operand has none.
    assert ours.largest_intermediate == (theirs.largest_intermediate if len(shapes) > 1 else 0)
    assert [step[:4] for step in ours.contraction_list] == [step[:4] for step in theirs.contraction_list]
    assert not any(step[4] for step in ours.contraction_list)
    assert ours.contraction_list == copy.copy(ours).contraction_list


def test_what_is_known_of_paths_of_names_and_of_long_ones():
    info = qeinsum.contract_path("row mid, mid col, col -> row", (2, 3), (3, 4), (4,), shapes=True, named=True)[1]
    assert (info.input_subscripts, info.output_subscript) == ("row mid, mid col, col", "row")
    assert info.contraction_list == [
        ((2, 1), frozenset({"col"}), "col, mid col -> mid", ("row mid", "mid"), False),
        ((1, 0), frozenset({"mid"}), "mid, row mid -> row", ("row",), False),
    ]
    letters = [opt_einsum.get_symbol(number) for number in range(31)]
    equation = ",".join(map("".join, zip(letters, letters[1:]))) + f"->{letters[0]}{letters[-1]}"
    path, ours = qeinsum.contract_path(equation, *[(2, 2)] * 30, shapes=True)
    theirs = opt_einsum.contract_path(equation, *[(2, 2)] * 30, shapes=True, optimize=path)[1]
    assert [step[:4] for step in ours.contraction_list] == [step[:4] for step in theirs.contraction_list]
    assert ours.contraction_list[0][3] is None and ours.scale_list == theirs.scale_list


def test_notebooks_show_text_and_no_picture_of_what_is_too_large():
    info = qeinsum.contract_path(CHAIN, *SHAPES, shapes=True, bits=8)[1]
    expression = qeinsum.contract_expression(CHAIN, *SHAPES, bits=8)
    for shown in (info, expression):
        data = shown._repr_mimebundle_()
        assert data["text/plain"] == str(info.plan) and data["image/svg+xml"] == info.plan.to_svg(qeinsum.Config.bits(8))
        assert shown._repr_mimebundle_(include=["text/plain"]) == {"text/plain": str(info.plan)}
        assert shown._repr_mimebundle_(exclude={"text/plain"}).keys() == {"image/svg+xml"}
        assert not hasattr(shown, "_repr_svg_")  # would be asked for what the bundle leaves out
    for operands, kinds in ((200, {"text/plain", "image/svg+xml"}), (201, {"text/plain"})):
        info = qeinsum.contract_path(",".join("a" * operands), *[(2,)] * operands, shapes=True, optimize="greedy")[1]
        assert info._repr_mimebundle_().keys() == kinds
