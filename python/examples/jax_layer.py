"""A layer of a JAX program whose products, forward and backward, are ours: int8, with noise from a key of JAX's.

The layer is a `custom_vjp` whose two halves call out of the compiled program; it can be jitted and differentiated.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import qeinsum

DENSE = qeinsum.QEinsum("bi,io->bo", qeinsum.Config.v4(drhs_bits=8))


def _forward(x, w):
    return DENSE(np.asarray(x), np.asarray(w))


def _backward(x, w, key, cotangent):
    _, pull = DENSE.vjp(np.asarray(x), np.asarray(w), key=np.asarray(key))
    return pull(np.asarray(cotangent))


@jax.custom_vjp
def dense(x, w, key):
    """`x @ w` in int8; `key` is where the noise of the gradients comes from."""
    return jax.pure_callback(_forward, jax.ShapeDtypeStruct((x.shape[0], w.shape[1]), x.dtype), x, w)


def _dense_forward(x, w, key):
    return dense(x, w, key), (x, w, key)


def _dense_backward(kept, cotangent):
    x, w, key = kept
    like = (jax.ShapeDtypeStruct(x.shape, x.dtype), jax.ShapeDtypeStruct(w.shape, w.dtype))
    dx, dw = jax.pure_callback(_backward, like, x, w, key, cotangent)
    return dx, dw, np.zeros(key.shape, jax.dtypes.float0)


dense.defvjp(_dense_forward, _dense_backward)


def main() -> list[float]:
    """Fits a random map by gradient descent; the losses."""
    random = np.random.default_rng(0)
    x, target = (jnp.asarray(random.standard_normal(shape), jnp.float32) for shape in ((64, 16), (16, 4)))
    w, key, losses = jnp.zeros((16, 4), jnp.float32), jax.random.PRNGKey(0), []

    @jax.jit
    def step(w, key):
        def loss(w):
            return jnp.mean((dense(x, w, key) - x @ target) ** 2)

        value, gradient = jax.value_and_grad(loss)(w)
        return value, w - 0.5 * gradient

    for number in range(60):
        value, w = step(w, jax.random.fold_in(key, number))
        losses.append(float(value))
    return losses


if __name__ == "__main__":
    losses = main()
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.6f}")
