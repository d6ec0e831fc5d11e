"""Executes exported plans by the engines that they are for, and compares them with `qeinsum run`.

In comes the path of the binary, and names of cases if not all are asked for; out goes a line per case and engine.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors.numpy

import engines
from cases import CASES

DTYPES = {
    "f32": np.dtype(np.float32), "f64": np.dtype(np.float64), "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16), "c32": np.dtype(np.complex64), "c64": np.dtype(np.complex128),
}


def operands(case):
    """The operands, the same in every run."""
    random = np.random.default_rng(list(case.name.encode()))

    def one(shape):
        if case.values == "integers":
            return random.integers(-8, 9, shape).astype(np.float64)
        x = random.standard_normal(shape)
        if case.values == "signs":
            return np.sign(x)
        if case.values == "all":
            # Rows of like magnitude, so that sums are of more than their largest term.
            low, high = (-24, 15) if case.dtype == "f16" else (-140, 126)
            x = x * np.exp2(random.integers(low, high, shape[:1] + (1,) * (len(shape) - 1)).astype(np.float64))
            x[random.random(shape) < 0.1] = 0
            x[0] = 0
        if case.values == "not finite":
            x[0, 1], x[1, 2], x[2, 0] = np.nan, np.inf, -np.inf
        if case.dtype.startswith("c"):
            x = x + 1j * random.standard_normal(shape)
        return x

    with np.errstate(over="ignore"):
        return [np.asarray(one(shape)).astype(DTYPES[case.dtype]) for shape in case.shapes]


# Cases that have other bits where XLA may simplify: of two divisions, and of two products with constants.
CONTROLS = ("swapped and transposed", "constant bounds")


class Reference:
    """The binary, in a folder of its own for each case."""

    def __init__(self, binary, folder, case):
        self.binary, self.folder, self.case = binary, folder, case
        folder.mkdir()
        self.settings = []
        if isinstance(case.config, int):
            self.settings = ["--bits", str(case.config)]
        elif case.config is not None:
            (folder / "config.toml").write_text("version = 1\n" + case.config)
            self.settings = ["--config", str(folder / "config.toml")]
        if case.path:
            self.settings += ["--path", case.path]

    def call(self, *arguments):
        ran = subprocess.run([self.binary, *map(str, arguments)], capture_output=True)
        if ran.returncode != 0:
            raise RuntimeError(f"qeinsum {arguments[0]}: {ran.stderr.decode().strip()}")
        return ran.stdout

    def run(self, arrays):
        files = []
        for number, array in enumerate(arrays):
            if self.case.dtype == "bf16":
                path = self.folder / f"{number}.safetensors"
                safetensors.numpy.save_file({"x": array}, path)
                files.append(f"{path}:x")
            else:
                path = self.folder / f"{number}.npy"
                np.save(path, array)
                files.append(path)
        out = self.folder / ("out.safetensors" if self.case.dtype == "bf16" else "out.npy")
        may = ["--allow-nonfinite"] if self.case.values == "not finite" else []
        self.call("run", self.case.equation, *files, "--out", out, *self.settings, *may)
        if self.case.dtype == "bf16":
            (array,) = safetensors.numpy.load_file(out).values()
            return array
        return np.load(out)

    def export(self, form):
        shapes = ",".join("x".join(map(str, shape)) or "scalar" for shape in self.case.shapes)
        return self.call("plan", self.case.equation, "--shapes", shapes, "--dtype", self.case.dtype, "--format", form,
                         "--out", "-", *self.settings)


def terms(case):
    """How many products are added at most, over all steps."""
    return max([1] + [size for shape in case.shapes for size in shape]) * 4


def difference(case, found, expected, arrays):
    """What is not as it has to be; nothing where all is."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"{found.dtype}{list(found.shape)} instead of {expected.dtype}{list(expected.shape)}"
    if case.equal == "near":
        # The rounding of sums: of terms whose magnitudes add up to what the same equation gives for magnitudes.
        bound = engines.magnitudes(case.equation, arrays)
        narrow = {"f16": 2.0**-10, "bf16": 2.0**-7}.get(case.dtype, 0)
        unit = 2.0**-52 if case.dtype in ("f64", "c64") else 2.0**-23
        wide = np.complex128 if case.dtype.startswith("c") else np.float64
        off = np.abs(found.astype(wide) - expected.astype(wide)) > (2 * terms(case) * unit + narrow) * bound
        return f"{off.sum()} of {off.size} beyond the bound" if off.any() else None
    both_nan = np.isnan(found) & np.isnan(expected)
    if case.equal == "bits" and not np.issubdtype(found.dtype, np.complexfloating):
        bits = f"u{found.dtype.itemsize}"
        same = found.view(bits) == expected.view(bits)
    else:
        same = found == expected
    off = ~(same | both_nan)
    if not off.any():
        return None
    at = tuple(int(x) for x in np.argwhere(off)[0])
    return f"{off.sum()} of {off.size} differ, at {at} {found[at]!r} instead of {expected[at]!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    passed, failed = 0, 0
    chosen = [case for case in CASES if not arguments.names or case.name in arguments.names]
    if not chosen:
        sys.exit(f"no case is called {arguments.names}")
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(chosen):
            try:
                reference = Reference(arguments.binary, Path(scratch) / str(number), case)
                arrays = operands(case)
                expected = reference.run(arrays)
                runs = [run for name in case.engines for run in engines.runs(name, case, arrays, expected, reference)]
            except Exception as error:
                runs = [("qeinsum", error)]
            for engine, run in runs:
                try:
                    if isinstance(run, Exception):
                        raise run
                    found, note = run()
                    wrong = difference(case, found, expected, arrays)
                except Exception as error:
                    wrong, note = f"{type(error).__name__}: {str(error).strip()[:600]}", ""
                passed, failed = passed + (wrong is None), failed + (wrong is not None)
                what = {"bits": "every bit", "values": "every value", "near": "within the bound"}[case.equal]
                print(f"{'FAILED' if wrong else 'ok':6} {case.name}: {case.equation} by {engine}: {wrong or what}{note}",
                      flush=True)
        for name in CONTROLS if not arguments.names else ():
            case = next(case for case in CASES if case.name == name)
            reference = Reference(arguments.binary, Path(scratch) / f"control {name}", case)
            arrays = operands(case)
            expected = reference.run(arrays)
            text = engines.without_barriers(reference.export("stablehlo").decode())
            wrong = difference(case, engines.on_one_device(text, arrays, expected)[0], expected, arrays)
            passed, failed = passed + (wrong is not None), failed + (wrong is None)
            print(f"{'ok' if wrong else 'FAILED':6} {name}, without barriers, should differ: {wrong or 'it does not'}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
