//! Snapshots of exported plans. What engines make of them is looked at by `tests/exports/run`.

use qeinsum::{Dtype, Plan, QEinsum, QuantConfig, Result};

use crate::snapshot;

fn plan(equation: &str, shapes: &[&[usize]]) -> Plan {
    QEinsum::new(equation).unwrap().plan(shapes).unwrap()
}

fn config(toml: &str) -> QuantConfig {
    QuantConfig::from_toml(&format!("version = 1\n{toml}")).unwrap()
}

#[test]
fn modules() {
    let eight = config("preset = 'v4'");
    let cases = [
        ("swapped_and_transposed", plan("bij,bjk->ibk", &[&[2, 3, 4], &[2, 4, 5]]), Some(eight.clone())),
        ("diagonal_and_sum", plan("iijl,jk->ik", &[&[3, 3, 4, 2], &[4, 5]]), None),
        (
            "constant_bounds_in_f16",
            QEinsum::new("i,i->").unwrap().with_dtype(Dtype::F16).plan(&[&[8], &[8]]).unwrap(),
            Some(config("preset = 'v4'\nstatic_bound = 1.5")),
        ),
        (
            "one_side_passes_in_bf16",
            QEinsum::new("ij,jk->ik").unwrap().with_dtype(Dtype::Bf16).plan(&[&[3, 4], &[4, 5]]).unwrap(),
            Some(config("preset = 'v4'\n[operand.1]\nbits = 'none'\n[fwd]\naccumulator = 'auto'")),
        ),
    ];
    for (name, plan, config) in cases {
        let text = plan.to_stablehlo(config.as_ref()).unwrap();
        snapshot::assert(&format!("stablehlo__{name}"), &plan.equation().to_string(), &text);
    }
}

/// What a line makes, by the operation and the values that it reads.
fn line<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let start = format!("    {name} = ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name} in\n{text}"));
    line.split([' ', ',']).filter(|word| word.starts_with('%') || word.starts_with("stablehlo.")).collect()
}

#[test]
fn the_inverse_scale_of_the_executed_lhs_is_multiplied_first() {
    // Swapped, so that the executed lhs is operand 1; each side has a bound of its own, and with it its scales.
    let plan = plan("ij,jk->ki", &[&[3, 4], &[4, 5]]);
    assert_eq!(plan.swapped_calls(), 1);
    let settings = "preset = 'v4'\n[operand.0]\nbits = 8\ncalibration = { constant = 127.5 }\n\
                    [operand.1]\nbits = 8\ncalibration = { constant = 255.0 }";
    let text = plan.to_stablehlo(Some(&config(settings))).unwrap();
    let products: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.contains("= stablehlo.multiply") && line.ends_with("tensor<5x3xf32>"))
        .map(|made| line(&text, made.split_whitespace().next().unwrap()))
        .collect();
    // The first product is of the sums, and the second of the first one, behind its barrier.
    assert_eq!(line(&text, products[0][1])[0], "stablehlo.convert", "{text}");
    assert_eq!(line(&text, products[1][1])[0], "stablehlo.optimization_barrier", "{text}");
    let factor = |product: &[&str]| text.lines().find(|line| line.contains(&format!("{} = ", product[2]))).unwrap();
    assert!(factor(&products[0]).contains("dense<2.0>"), "{text}");
    assert!(factor(&products[1]).contains("dense<1.0>"), "{text}");
}

#[test]
fn slices_change_no_export() {
    let whole = plan("ab,bc,cd->ad", &[&[2, 3], &[3, 4], &[4, 5]]);
    let sliced = whole.with_slices(&["a"]).unwrap();
    assert_eq!(sliced.to_stablehlo(None).unwrap(), whole.to_stablehlo(None).unwrap());
    assert_eq!(sliced.to_onnx(None).unwrap(), whole.to_onnx(None).unwrap());
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let two = plan("ij,jk->ik", &[&[2, 3], &[3, 4]]);
    let complex = QEinsum::new("ij,jk->ik").unwrap().with_dtype(Dtype::C32).plan(&[&[2, 3], &[3, 4]]).unwrap();
    let double = QEinsum::new("ij,jk->ik").unwrap().with_dtype(Dtype::F64).plan(&[&[2, 3], &[3, 4]]).unwrap();
    let noisy = config("preset = 'v4'\n[fwd.rhs]\nnoise = 'jax.uniform'");
    let eight = config("preset = 'v4'");
    let empty = plan("ij,jk->ik", &[&[2, 0], &[0, 4]]);
    let cases: [(&str, Result<String>); 5] = [
        ("noise", two.to_stablehlo(Some(&noisy))),
        ("noise, to ONNX", two.to_onnx(Some(&noisy)).map(|_| String::new())),
        ("complex numbers, to ONNX", complex.to_onnx(None).map(|_| String::new())),
        ("f64 in eight bits", double.to_stablehlo(Some(&eight))),
        ("eight bits of nothing", empty.to_stablehlo(Some(&eight))),
    ];
    let texts = cases.map(|(asked, result)| {
        let error = result.expect_err(asked);
        format!("{asked}\n{:?}: {error}\n", error.kind())
    });
    snapshot::assert("errors__exports", "exports that are refused", &texts.join("\n"));
}
