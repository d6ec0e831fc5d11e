"""Operands of other libraries, which say little of themselves, are read and planned for as NumPy's."""

import jax
import numpy as np
import pytest

import qeinsum

BYTES = 12 + 20 + 15


class Exported:
    """An array that is seen through DLPack alone."""

    def __init__(self, array):
        self._array = array
        self.reads = 0

    def __dlpack__(self, **settings):
        self.reads += 1
        return self._array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Foreign:
    """An array whose type has no name but for how it is printed, as PyTorch's."""

    class Type:
        def __str__(self):
            return "torch.float64"

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, Foreign.Type()

    def __array__(self, dtype=None, copy=None):
        return self._array


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_operands_through_dlpack_alone(make, dtype):
    a, b = make(3, 4, dtype=dtype), make(4, 5, dtype=dtype, seed=1)
    expected, size = qeinsum.einsum("ij,jk->ik", a, b), np.dtype(dtype).itemsize
    seen = [Exported(a), Exported(b)]
    result = qeinsum.einsum("ij,jk->ik", *seen)
    assert result.dtype == dtype and (result == expected).all()
    out = np.zeros((3, 5), dtype)
    assert qeinsum.einsum("ij,jk->ik", *seen, out=out) is out and (out == expected).all()
    plan = qeinsum.plan("ij,jk->ik", *seen)
    assert plan == qeinsum.plan("ij,jk->ik", a, b) and plan.peak_bytes == size * BYTES
    assert qeinsum.contract_path("ij,jk->ik", *seen)[1].plan.peak_bytes == size * BYTES
    # One export a call: of an array elsewhere each is a copy.
    assert [operand.reads for operand in seen] == [4, 4]
    expression = qeinsum.contract_expression("ij,jk->ik", (3, 4), seen[1], constants=[1])
    assert expression.plan.peak_bytes == size * BYTES and (expression(seen[0]) == expected).all()
    with pytest.raises(TypeError, match="out is an array of float16, but the result is of"):
        qeinsum.einsum("ij,jk->ik", *seen, out=np.zeros((3, 5), np.float16))


def test_operands_through_dlpack_alone_are_frozen(make):
    a, b = make(3, 4), make(4, 5, seed=1)
    layer = qeinsum.QEinsum("ij,jk->ik", bits=8)
    frozen = layer.freeze(1, Exported(b), Exported(a), Exported(b))
    assert (layer(a, frozen) == layer(a, b)).all()


def test_plans_have_the_type_that_an_einsum_would_have(make):
    a, b = make(3, 4, dtype=np.float64), make(4, 5, dtype=np.float64)
    for operands in ((Foreign(a), Foreign(b)), (a.tolist(), b.tolist())):
        assert qeinsum.einsum("ij,jk->ik", *operands).dtype == np.float64
        assert qeinsum.plan("ij,jk->ik", *operands).peak_bytes == 8 * BYTES
        assert qeinsum.contract_path("ij,jk->ik", *operands)[1].plan.peak_bytes == 8 * BYTES
    assert qeinsum.plan(",i->i", 2.0, [1.0, 2.0]).peak_bytes == 8 * 5


def test_what_has_a_shape_and_a_type_is_planned_for_unread():
    shapes = [jax.ShapeDtypeStruct(shape, jax.numpy.float16) for shape in ((3, 4), (4, 5))]
    assert qeinsum.plan("ij,jk->ik", *shapes).peak_bytes == 2 * BYTES
    assert qeinsum.contract_path("ij,jk->ik", *shapes)[1].plan.peak_bytes == 2 * BYTES
