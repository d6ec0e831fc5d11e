//! Complex files on the command line.

use ndarray::ArrayD;
use num_complex::Complex;
use qeinsum::io::AnyArray;
use qeinsum::{Dtype, QEinsum};

use crate::harness::{Folder, values};
use crate::snapshot;

fn complex(shape: &[usize], seed: u32) -> ArrayD<Complex<f32>> {
    ndarray::Zip::from(&values(shape, seed))
        .and(&values(shape, seed + 100))
        .map_collect(|&re, &im| Complex::new(re, im))
}

/// A folder with `z.npy` (3x4) and `y.npy` (4x5) of c32, `w.npy` (4x5) of c64, and `a.npy` (3x4) of f32.
fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.save("z.npy", complex(&[3, 4], 1));
    folder.save("y.npy", complex(&[4, 5], 2));
    folder.save("w.npy", AnyArray::from(complex(&[4, 5], 3)).cast(Dtype::C64).unwrap());
    folder.save("a.npy", values(&[3, 4], 4));
    folder
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn results_are_those_of_the_library() {
    let folder = folder("complex-results");
    let (z, y) = (complex(&[3, 4], 1), complex(&[4, 5], 2));
    let expected = QEinsum::new("ij,jk->ki").unwrap().run((&z, &y)).unwrap();
    for out in ["o.npy", "o.safetensors"] {
        folder.run(&words(&format!("run ij,jk->ki z.npy y.npy --out {out}"))).done();
        assert_eq!(folder.load(out), AnyArray::from(expected.clone()), "{out}");
    }
    folder.run(&words("run ij->ji o.safetensors --out back.npy")).done();
    assert_eq!(folder.load("back.npy"), AnyArray::from(expected.t().as_standard_layout().into_owned()));
    let line = r#"{"id": 1, "eq": "ij,jk->ki", "inputs": ["z.npy", "y.npy"], "out": "b.npy"}"#;
    folder.write("cases.jsonl", line);
    assert_eq!(folder.run(&words("run --batch cases.jsonl")).done().out(), "{\"id\":1,\"ok\":true}\n");
    assert_eq!(folder.read("b.npy"), folder.read("o.npy"));
}

#[test]
fn gradients_are_those_of_the_library() {
    let folder = folder("complex-vjp");
    let (z, y, g) = (complex(&[3, 4], 1), complex(&[4, 5], 2), complex(&[3, 5], 5));
    folder.save("g.npy", g.clone());
    folder.run(&words("vjp ij,jk->ik z.npy y.npy --cotangent g.npy --out-dir grads")).done();
    let (out, grads) = QEinsum::new("ij,jk->ik").unwrap().vjp((&z, &y), None).unwrap();
    let gradients = grads.pull(&g).unwrap();
    for (name, array) in ["out", "d0", "d1"].into_iter().zip([&out, &gradients[0], &gradients[1]]) {
        assert_eq!(folder.load(&format!("grads/{name}.npy")), AnyArray::from(array.clone()), "{name}");
    }
}

#[test]
fn real_inputs_are_converted_on_request() {
    let folder = folder("complex-cast");
    let y = complex(&[4, 5], 2);
    let a = values(&[3, 4], 4).mapv(|re| Complex::new(re, 0.0));
    let expected = QEinsum::new("ij,jk").unwrap().run((&a, &y)).unwrap();
    folder.run(&words("run ij,jk a.npy y.npy --out o.npy --cast c32")).done();
    assert_eq!(folder.load("o.npy"), AnyArray::from(expected));
    folder.run(&words("run ij,jk a.npy w.npy --out o.npy --cast c64")).done();
    assert_eq!(folder.load("o.npy").dtype(), Dtype::C64);
    folder.run(&words("run ij,jk z.npy w.npy --out o.npy --cast c32")).done();
    assert_eq!(folder.load("o.npy").dtype(), Dtype::C32);
}

#[test]
fn what_complex_inputs_cannot_do_is_said() {
    let folder = folder("complex-refused");
    folder.save("b.npy", values(&[4, 5], 6));
    let mut n = complex(&[3, 4], 1);
    n[[1, 2]].im = f32::NAN;
    folder.save("n.npy", n);
    folder.run(&words("freeze ij,jk->ik a.npy b.npy --operand 1 --bits 8 --out f.safetensors")).done();
    folder.run(&words("run ij,jk n.npy y.npy --out nan.npy")).done();
    let before = folder.names();
    let text = folder.session(&[
        "run ij,jk a.npy y.npy --out o.npy",
        "run ij,jk z.npy b.npy --out o.npy",
        "run ij,jk z.npy w.npy --out o.npy",
        "run ij,jk z.npy f.safetensors --out o.npy",
        "run ij,jk z.npy b.npy --out o.npy --cast f32",
        "run ij,jk a.npy y.npy --out o.npy --cast bf16",
        "run ij,jk z.npy y.npy --out o.npy --bits 8",
        "run ji,jk->ik w.npy w.npy --out o.safetensors",
        "run ij,jk z.npy y.npy --out o.npy --max-memory 500",
        "run ij,jk a.npy y.npy --out o.npy --cast c128",
        "vjp ij,jk z.npy y.npy --cotangent a.npy --out-dir grads",
        "freeze ij,jk z.npy y.npy --operand 1 --bits 8 --out o.safetensors",
        "plan ij,jk --shapes 3x4,4x5 --dtype c64 --bits 8",
        "plan ij,jk --shapes 3x4,4x5 --dtype c64 --explain",
    ]);
    snapshot::assert("cli__complex", "complex arrays on the command line", &text);
    assert_eq!(folder.names(), before);
}
