//! Snapshots of errors that have no grammar file: shapes, paths, plans, configurations, calls.

use std::fmt::Write as _;

use ndarray::{Array1, Array2};
use qeinsum::path::Path;
use qeinsum::quant::{DotGeneralConfig, QuantConfig, TensorConfig};
use qeinsum::{DimensionNumbers, Plan, QDotGeneral, QEinsum, Result};

use crate::snapshot;

/// The texts of what went wrong, each under what was asked.
fn collect(cases: Vec<(&str, Result<String>)>) -> String {
    let mut text = String::new();
    for (asked, result) in cases {
        let error = result.expect_err(asked);
        let _ = writeln!(text, "{asked}\n{:?}: {error}\n", error.kind());
    }
    text
}

fn plan(equation: &str, shapes: &[&[usize]]) -> Result<String> {
    Ok(QEinsum::new(equation)?.plan(shapes)?.to_string())
}

fn with_path(equation: &str, shapes: &[&[usize]], path: &str) -> Result<String> {
    Ok(QEinsum::new(equation)?.with_path(path.parse::<Path>()?).plan(shapes)?.to_string())
}

#[test]
fn shapes() {
    let text = collect(vec![
        ("ij,jk->ik of 4x5 and 6x7", plan("ij,jk->ik", &[&[4, 5], &[6, 7]])),
        ("ij,jk->ik of one operand", plan("ij,jk->ik", &[&[4, 5]])),
        ("ij,jk->ik of 4x5x6 and 5x7", plan("ij,jk->ik", &[&[4, 5, 6], &[5, 7]])),
        ("ii->i of 1x3", plan("ii->i", &[&[1, 3]])),
        ("i,i->i of 0 and 3", plan("i,i->i", &[&[0], &[3]])),
        ("...i,...i->i of 2x3 and 4x3", plan("...i,...i->i", &[&[2, 3], &[4, 3]])),
        ("...ij->j of 3", plan("...ij->j", &[&[3]])),
        ("i->i of 2^63", plan("i->i", &[&[1 << 63]])),
        ("i,j->ij of 2^40 and 2^40", plan("i,j->ij", &[&[1 << 40], &[1 << 40]])),
        (",->, of scalars", plan(",->,", &[&[], &[]])),
    ]);
    snapshot::assert("errors__shapes", "shapes that do not fit", &text);
}

#[test]
fn paths_and_plans() {
    let shapes: &[&[usize]] = &[&[2, 3], &[3, 4], &[4, 5]];
    let saved = QEinsum::new("ij,jk->ik").unwrap().plan(&[&[2, 3], &[3, 4]]).unwrap().to_json();
    let tampered = |from: &str, to: &str| {
        assert!(saved.contains(from), "{from}");
        Plan::from_json(&saved.replace(from, to)).map(|plan| plan.to_string())
    };
    let text = collect(vec![
        ("path (0,1) for three operands", with_path("ij,jk,kl->il", shapes, "(0,1)")),
        ("path (0,3) (0,1)", with_path("ij,jk,kl->il", shapes, "(0,3) (0,1)")),
        ("path 0-1", with_path("ij,jk,kl->il", shapes, "0-1")),
        ("a plan that is no JSON", Plan::from_json("{").map(|plan| plan.to_string())),
        ("a plan of another format", tampered("\"format\": 1", "\"format\": 2")),
        ("a plan with another side", tampered("\"swapped\": false", "\"swapped\": true")),
        ("a plan with another result", tampered("\"result\": 2,\n  \"cost\"", "\"result\": 1,\n  \"cost\"")),
        (
            "a plan with another cost",
            tampered("\"multiplications\": \"24\",\n    \"log10", "\"multiplications\": \"25\",\n    \"log10"),
        ),
    ]);
    snapshot::assert("errors__paths_and_plans", "paths and plans that do not fit", &text);
}

#[test]
fn calls_and_configurations() {
    let ones = Array2::<f32>::ones((2, 3));
    let row = Array1::<f32>::ones(3);
    let dims = |batch: &[(usize, usize)], contracting: &[(usize, usize)]| {
        DimensionNumbers::new(batch.iter().copied(), contracting.iter().copied())
    };
    let dot = |contracting: &[(usize, usize)]| {
        let dot = QDotGeneral::new(dims(&[], contracting)?, DotGeneralConfig::v4().build()?);
        Ok(dot.run(&ones, &row)?.to_string())
    };
    let int8 = TensorConfig::from_bits(Some(8)).unwrap();
    let configured = |config: QuantConfig| {
        let einsum = QEinsum::new("ij,j->i").unwrap().with_config(config);
        Ok(einsum.run((&ones, &row))?.to_string())
    };
    let into = |shape: (usize, usize)| {
        let mut out = Array2::<f32>::zeros(shape).into_dyn();
        QEinsum::new("ij,j->i")?.run_into((&ones, &row), &mut out.view_mut())?;
        Ok(String::new())
    };
    let compiled = QEinsum::new("ij,j->i").unwrap().compile(&[&[4, 3], &[3]]).unwrap();
    let text = collect(vec![
        ("an axis named twice", dims(&[(0, 0)], &[(0, 1)]).map(|dims| dims.to_string())),
        ("an axis that is not there", dot(&[(1, 1)])),
        ("axes of different sizes", dot(&[(0, 0)])),
        ("an output of another shape", into((2, 1))),
        ("operands of other shapes than compiled for", compiled.run((&ones, &row)).map(|out| out.to_string())),
        ("one bit in version 4", DotGeneralConfig::v4().fwd_bits(Some(1)).build().map(|config| format!("{config:?}"))),
        ("23 bits", TensorConfig::from_bits(Some(23)).map(|config| format!("{config:?}"))),
        ("a setting for operand 2 of two", configured(QuantConfig::default().with_operand(2, int8))),
        (
            "a setting for step 1 of one",
            configured(QuantConfig::default().with_step(1, DotGeneralConfig::unquantized())),
        ),
        (
            "fake quantization of int8",
            QuantConfig::from_toml("version = 1\npreset = \"v4\"\n[fwd]\ndequantize = \"inputs\"\n")
                .map(|_| String::new()),
        ),
        ("a setting that is none", QuantConfig::from_toml("version = 1\nfwd_bit = 8\n").map(|_| String::new())),
        ("a version to come", QuantConfig::from_json("{\"version\": 2}").map(|_| String::new())),
    ]);
    snapshot::assert("errors__calls_and_configurations", "calls and configurations that do not fit", &text);
}
