//! `freeze --import`: frozen variables of Flax checkpoints.

use std::io::{Cursor, Write as _};

use half::bf16;
use ndarray::{ArrayD, ShapeBuilder as _};
use qeinsum::{DotGeneralConfig, Frozen, FrozenValues, QEinsum};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::harness::{Folder, values};
use crate::snapshot;

/// An array as `NumPy` writes it, with the dtype that it has there.
fn npy(descr: &str, fortran: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({},), }}\n", sizes.join(", "));
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes(), bytes].concat()
}

fn archive(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn integers(array: &ArrayD<i8>) -> Vec<u8> {
    array.iter().map(|&value| value as u8).collect()
}

fn int8(frozen: &Frozen) -> &ArrayD<i8> {
    match frozen.values() {
        FrozenValues::Int8(values) => values,
        FrozenValues::Float(_) => panic!("these are of eight bits"),
    }
}

fn little(array: &ArrayD<f32>) -> Vec<u8> {
    array.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The rhs of `ij,jk->ki`, whose call has it on the left.
fn frozen() -> Frozen {
    let equation = QEinsum::new("ij,jk->ki").unwrap().with_config(DotGeneralConfig::v4().build().unwrap());
    equation.freeze(1, &values(&[4, 5], 2), &[&[3, 4], &[4, 5]], None).unwrap()
}

/// The checkpoint that has it.
fn checkpoint(frozen: &Frozen) -> Vec<u8> {
    let (value, scale) = (int8(frozen), frozen.inverse_scale());
    archive(&[
        ("params/dense/kernel", npy("<f4", false, &[2], &[0; 8])),
        ("aqt/dense/QDotGeneral_0/qrhs/value", npy("|i1", false, value.shape(), &integers(value))),
        ("aqt/dense/QDotGeneral_0/qrhs/scale", npy("<f4", false, scale.shape(), &little(&scale))),
    ])
}

#[test]
fn a_layer_of_a_checkpoint_serves_as_the_operand_that_it_was_made_of() {
    let folder = Folder::with_arrays("import");
    folder.write("flax.npz", checkpoint(&frozen()));
    folder.run(&["run", "ij,jk->ki", "a.npy", "b.npy", "--bits", "8", "--out", "o.npy"]).done();
    // With all inputs, with those that are not imported, and with none.
    for inputs in [&["a.npy", "b.npy"][..], &["a.npy"], &[]] {
        for layer in ["dense/QDotGeneral_0", "aqt/dense/QDotGeneral_0", "/dense/QDotGeneral_0/"] {
            let options =
                ["--operand", "1", "--bits", "8", "--import", "flax.npz", "--layer", layer, "--out", "w.safetensors"];
            folder.run(&[&["freeze", "ij,jk->ki"], inputs, &options].concat()).done();
            folder.run(&["run", "ij,jk->ki", "a.npy", "w.safetensors", "--out", "p.npy"]).done();
            assert_eq!(folder.load("p.npy"), folder.load("o.npy"), "{inputs:?}, {layer}");
        }
    }
    assert_eq!(Frozen::load(folder.path("w.safetensors")).unwrap().inverse_scale(), frozen().inverse_scale());
}

#[test]
fn arrays_are_read_as_numpy_writes_them() {
    let folder = Folder::new("import-numpy");
    let equation = QEinsum::new("ij,jk->ik").unwrap().with_config(DotGeneralConfig::v4().build().unwrap());
    let (x, w) = (values(&[3, 4], 1).mapv(bf16::from_f32), values(&[4, 5], 2).mapv(bf16::from_f32));
    folder.save("x.safetensors", x.clone());
    folder.save("o.safetensors", equation.run((&x, &w)).unwrap());
    let frozen = equation.freeze(1, &w, &[&[3, 4], &[4, 5]], None).unwrap();
    let (value, scale) = (int8(&frozen), frozen.inverse_scale());
    let raw: Vec<u8> = scale.iter().flat_map(|&scale| bf16::from_f32(scale).to_le_bytes()).collect();
    let big: Vec<u8> = scale.iter().flat_map(|scale| scale.to_be_bytes()).collect();
    let by_columns = integers(&value.t().to_owned());
    let entries = [
        ("two raw bytes", npy("|V2", false, scale.shape(), &raw), npy("|i1", false, value.shape(), &integers(value))),
        ("widened, big-endian", npy(">f4", false, scale.shape(), &big), npy("i1", true, value.shape(), &by_columns)),
    ];
    for (what, scale, value) in entries {
        folder.write("flax.npz", archive(&[("l/qrhs/value", value), ("l/qrhs/scale", scale)]));
        let import = ["freeze", "ij,jk->ik", "x.safetensors", "--operand", "1", "--bits", "8", "--import", "flax.npz"];
        folder.run(&[&import[..], &["--layer", "l", "--out", "w.safetensors"]].concat()).done();
        let made = Frozen::load(folder.path("w.safetensors")).unwrap();
        assert_eq!((made.values(), made.inverse_scale()), (frozen.values(), frozen.inverse_scale()), "{what}");
        folder.run(&["run", "ij,jk->ik", "x.safetensors", "w.safetensors", "--out", "p.safetensors"]).done();
        assert_eq!(folder.load("p.safetensors"), folder.load("o.safetensors"), "{what}");
    }
    let order = ArrayD::from_shape_vec(vec![4, 5].f(), by_columns).unwrap();
    assert_eq!(order.mapv(|byte| byte as i8), value, "columns first are the same array");
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_written() {
    let folder = Folder::with_arrays("import-refused");
    let frozen = frozen();
    let whole = checkpoint(&frozen);
    folder.write("flax.npz", &whole);
    folder.write("cut.npz", &whole[..whole.len() - 9]);
    let (value, scale) = (integers(int8(&frozen)), little(&frozen.inverse_scale()));
    let part = |name: &'static str, descr: &str, shape: &[usize], bytes: &[u8]| (name, npy(descr, false, shape, bytes));
    let tests = [
        (
            "both.npz",
            vec![
                part("l/qrhs/value", "|i1", &[4, 5], &value),
                part("l/qrhs/scale", "<f4", &[5, 1], &scale),
                part("aqt/l/qrhs/value", "|i1", &[4, 5], &value),
                part("aqt/l/qrhs/scale", "<f4", &[5, 1], &scale),
            ],
        ),
        (
            // A gigabyte of integers, of which the file has none: the shape is compared first.
            "claims.npz",
            vec![part("l/qrhs/value", "|i1", &[4, 1 << 28], &[]), part("l/qrhs/scale", "<f4", &[5, 1], &scale)],
        ),
        (
            "wide-scale.npz",
            vec![part("l/qrhs/value", "|i1", &[4, 5], &value), part("l/qrhs/scale", "<f8", &[5, 1], &[0; 40])],
        ),
        ("half.npz", vec![part("l/qrhs/value", "|i1", &[4, 5], &value)]),
        ("other.npz", vec![part("params/kernel", "<f4", &[5], &scale)]),
        (
            "transposed.npz",
            vec![part("l/qrhs/value", "|i1", &[4, 5], &value), part("l/qrhs/scale", "<f4", &[1, 5], &scale)],
        ),
        (
            "zeros.npz",
            vec![part("l/qrhs/value", "<f4", &[4, 5], &[0; 80]), part("l/qrhs/scale", "<f4", &[5, 1], &[0; 20])],
        ),
        (
            "negative.npz",
            vec![
                part("l/qrhs/value", "|i1", &[4, 5], &value),
                part("l/qrhs/scale", "<f4", &[5, 1], &(-1.0_f32).to_le_bytes().repeat(5)),
            ],
        ),
        (
            "wide.npz",
            vec![part("l/qrhs/value", "|i1", &[4, 5], &[0x80; 20]), part("l/qrhs/scale", "<f4", &[5, 1], &scale)],
        ),
    ];
    for (name, entries) in tests {
        folder.write(name, archive(&entries));
    }
    let before = folder.names();
    let import = |file: &str, layer: &str| {
        format!("freeze ij,jk->ki a.npy b.npy --operand 1 --bits 8 --import {file} --layer {layer} --out w.safetensors")
    };
    let lines = [
        import("flax.npz", "dense"),
        import("other.npz", "l"),
        import("both.npz", "l"),
        import("claims.npz", "l"),
        import("wide-scale.npz", "l"),
        import("half.npz", "l"),
        import("transposed.npz", "l"),
        import("zeros.npz", "l"),
        import("negative.npz", "l"),
        import("wide.npz", "l"),
        import("cut.npz", "l"),
        import("missing.npz", "l"),
        import("a.npy", "l"),
        "freeze ij,jk->ki a.npy b.npy --operand 0 --bits 8 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,jk->ik a.npy b.npy --operand 1 --bits 8 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,jk->ki a.npy b.npy --operand 1 --bits 4 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,jk->ki a.npy c.npy --operand 1 --bits 8 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,jl,lk->ki --operand 1 --bits 8 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,...jk->...ki --operand 1 --bits 8 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,jk->ki x.npy --operand 1 --bits 8 --import flax.npz --layer dense/QDotGeneral_0 --out w.safetensors".to_owned(),
        "freeze ij,jk->ki a.npy --operand 1 --bits 8 --import flax.npz --out w.safetensors".to_owned(),
    ];
    let text = folder.session(&lines.each_ref().map(String::as_str));
    snapshot::assert("cli__imports_that_do_not_fit", "imports that do not fit", &text);
    assert_eq!(folder.names(), before);
}
