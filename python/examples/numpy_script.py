import numpy as np
import qeinsum

x, w = np.random.rand(8, 256).astype(np.float32), np.random.rand(256, 64).astype(np.float32)
exact = qeinsum.einsum("bi,io->bo", x, w)                # f32, the same bits on every machine
int8 = qeinsum.einsum("bi,io->bo", x, w, bits=8)         # quantized, multiplied in int8, f32 again
print("largest error", abs(exact - int8).max() / abs(exact).max())
print(qeinsum.plan("ab,bc,cd->ad", (64, 8), (8, 64), (64, 64)))  # the order, the calls, the cost
dense = qeinsum.QEinsum("bi,io->bo", bits=8)
y, pull = dense.vjp(x, w, key=0)                         # gradients are int8 products too
frozen = dense.freeze(1, w, x, w)                        # the weights, quantized once
assert (dense(x, frozen) == y).all() and pull(y)[1].shape == w.shape
