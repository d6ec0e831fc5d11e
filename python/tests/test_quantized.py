"""Quantization: configurations, gradients, noise, frozen operands."""

import pickle

import numpy as np
import pytest

import qeinsum
from qeinsum import Config, Frozen, Key, QEinsum


def test_int8_is_close_and_repeatable(make):
    a, b = make(32, 64), make(64, 16, seed=1)
    exact, int8 = qeinsum.einsum("ij,jk->ik", a, b), qeinsum.einsum("ij,jk->ik", a, b, bits=8)
    ratio = 10 * np.log10((exact**2).sum() / ((exact - int8) ** 2).sum())
    assert 35 < ratio < 60
    np.testing.assert_array_equal(int8, QEinsum("ij,jk->ik", Config.v4())(a, b))


def test_by_hand(make):
    """One row by one column, after AQT's definition: scales 127.5 over the largest magnitude, ties to even."""
    x, w = make(1, 16), make(16, 1, seed=1)
    sides = []
    for side, axis in ((x, 1), (w, 0)):
        bound = np.abs(side).max(axis=axis, keepdims=True)
        scale = (np.float32(127.5) / bound).astype(np.float32)
        values = np.round(np.clip(side * scale, -127.5 + 0.01, 127.5 - 0.01))
        sides.append((values, np.float32(1) / scale))
    expected = (sides[0][0] @ sides[1][0]) * sides[0][1] * sides[1][1]
    np.testing.assert_allclose(qeinsum.einsum("ij,jk->ik", x, w, bits=8), expected, rtol=1e-6)


def test_configurations():
    config = Config.v4(drhs_bits=8).with_operand(1, bits=4).with_step(0, preset="v4", fwd_bits=6)
    for other in (Config.from_toml(config.to_toml()), Config.from_json(config.to_json()), pickle.loads(pickle.dumps(config))):
        assert other == config and hash(other) == hash(config)
    assert config != Config.v4() and "Config(" in repr(config)
    assert Config({"preset": "v4", "fwd_bits": None}) == Config.v4(fwd_bits=None)
    with pytest.raises(qeinsum.ConfigError, match="fwd_bits"):
        Config.v4(fwd_bits=99)
    with pytest.raises(qeinsum.ConfigError, match="colour"):
        Config.v4(colour=3)


def test_configuration_files(tmp_path):
    (tmp_path / "c.toml").write_text(Config.v4(fwd_bits=4).to_toml())
    (tmp_path / "c.json").write_text(Config.v4(fwd_bits=4).to_json())
    assert Config.load(tmp_path / "c.toml") == Config.load(tmp_path / "c.json") == Config.v4(fwd_bits=4)


def test_gradients(make):
    x, w = make(3, 4, dtype=np.float64), make(4, 5, dtype=np.float64, seed=1)
    y, pull = QEinsum("bi,io->bo").vjp(x, w)
    x_kept = x.copy()
    x[:] = 0  # what the gradients need was kept
    dx, dw = pull(y)
    np.testing.assert_allclose(dx, y @ w.T)
    np.testing.assert_allclose(dw, x_kept.T @ y)


def test_noise_needs_a_key(make):
    dense, x, w = QEinsum("bi,io->bo", Config.v4(drhs_bits=8)), make(3, 4), make(4, 5, seed=1)
    with pytest.raises(qeinsum.Error, match="key"):
        dense.vjp(x, w)[1](make(3, 5))
    first, second = (dense.vjp(x, w, key=key)[1](make(3, 5, seed=2)) for key in (Key(7), 7))
    other = dense.vjp(x, w, key=8)[1](make(3, 5, seed=2))
    assert all((a == b).all() for a, b in zip(first, second)) and any((a != b).any() for a, b in zip(first, other))


def test_keys():
    key = Key(42)
    assert key.data == (0, 42) and key.split(2)[0].data == (0x92FB20EA, 0xDB4C98DB)
    assert pickle.loads(pickle.dumps(key)) == key and eval(repr(key)) == key


def test_frozen_operands(make, tmp_path):
    dense, x, w = QEinsum("bi,io->bo", bits=4), make(3, 4), make(4, 5, seed=1)
    frozen = dense.freeze(1, w, x, w)
    frozen.save(tmp_path / "w.safetensors")
    for same in (frozen, Frozen.load(tmp_path / "w.safetensors"), pickle.loads(pickle.dumps(frozen))):
        np.testing.assert_array_equal(dense(x, same), dense(x, w))
    assert (frozen.operand, frozen.shape, frozen.dtype) == (1, (4, 5), "float32")
    assert frozen.values.dtype == np.int8 and np.abs(frozen.values).max() <= 7
    with pytest.raises(qeinsum.FrozenError):
        QEinsum("bi,io->bo", bits=8)(x, frozen)
    with pytest.raises(qeinsum.Error):
        Frozen.from_bytes(b"nothing")


def test_layers_are_pickled(make):
    layer = QEinsum("ij,jk->ik", bits=8, optimize="greedy")
    a, b = make(3, 4), make(4, 5, seed=1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(a, b), layer(a, b))
    assert "acc i32" in layer.explain(a, b)


def test_bits_are_chosen_by_data(make):
    a, b, c = make(200, 300), make(300, 200, seed=1), make(200, 256, seed=2)
    equation = "ij,jk,kl->il"
    exact = qeinsum.einsum(equation, a, b, c)
    ratios = []
    for least in (10, 30, 200):
        config = QEinsum(equation).choose_bits(a, b, c, min_sqnr=least)
        noise = ((QEinsum(equation, config)(a, b, c) - exact) ** 2).sum(dtype=float)
        ratios.append(10 * np.log10((exact**2).sum(dtype=float) / noise) if noise else np.inf)
        assert ratios[-1] >= least - 0.01
    assert ratios[0] < ratios[2] == np.inf
    with pytest.raises(qeinsum.ConfigError):
        QEinsum("ij->ji").choose_bits(a, min_sqnr=30)


def test_an_analysis_says_what_each_call_costs():
    random = np.random.default_rng(0)
    a, b, c = (random.standard_normal(shape).astype(np.float32) for shape in ((40, 60), (60, 50), (50, 30)))
    chain = qeinsum.QEinsum("ij,jk,kl->il", bits=8)
    found = chain.analyze(a, b, c)
    exact, quantized = qeinsum.einsum("ij,jk,kl->il", a, b, c), chain(a, b, c)
    noise = np.sum((exact - quantized).astype(np.float64) ** 2)
    ratio = 10 * np.log10(np.sum(exact.astype(np.float64) ** 2) / noise)
    assert found.result.sqnr_db == pytest.approx(ratio, abs=1e-3)
    assert found.result.max_error == pytest.approx(abs(exact - quantized).max())
    assert len(found.calls) == len(found.without_call) == len(found.seconds) == 2 and min(found.seconds) > 0
    assert all(error.sqnr_db > found.result.sqnr_db for error in found.without_call)
    text = str(found)
    assert text.startswith("einsum ij,jk,kl->il\n") and "call 1: measured " in text
    assert text.splitlines()[-1] == f"result: {found.result.text}"
    floats = qeinsum.QEinsum("ij,jk->ik").analyze(a, b)
    assert floats.result is None and not floats.calls and "call 0: measured " in str(floats)


def test_chosen_bits_are_checked_on_other_data():
    random = np.random.default_rng(1)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((256, 512), (512, 256)))
    layer = qeinsum.QEinsum("ij,jk->ik")
    chosen = qeinsum.QEinsum("ij,jk->ik", layer.choose_bits(a, b, min_sqnr=30))
    assert chosen.analyze(a, b[:, ::-1]).result.sqnr_db > 30
    # Two large values of each row cancel out, and nothing is left of the others.
    a[:, 5] *= 1000
    a[:, 6], b[6] = -a[:, 5], b[5]
    assert chosen.analyze(a, b).result.sqnr_db < 10
