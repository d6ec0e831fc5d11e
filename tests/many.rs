//! Several equations together: the bits of each alone, fewer multiplications, and never more.

use std::fmt::Write as _;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use num_complex::Complex;
use qeinsum::path::{Cost, Objective, Path, SearchOptions};
use qeinsum::quant::{DotGeneralConfig, IntNumerics, Numerics, QuantConfig, TensorConfig};
use qeinsum::rng::Noise;
use qeinsum::{Element, JointCertificate, Key, Many, ManyPlan, Op, Plan, QEinsum, Result};

use crate::properties::Random;
use crate::snapshot;

/// Equations, each with its operands.
type Equations = &'static [(&'static str, &'static [usize])];

struct Case {
    /// Words for the file name.
    name: &'static str,
    equations: Equations,
    shapes: &'static [&'static [usize]],
}

const CASES: &[Case] = &[
    Case {
        name: "a_product_of_two_equations",
        equations: &[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,ce->ae", &[0, 1, 3])],
        shapes: &[&[20, 30], &[30, 40], &[40, 20], &[40, 20]],
    },
    Case {
        name: "other_labels",
        equations: &[("ij,jk,kl->il", &[0, 1, 2]), ("xy,yz,zw,wv->xv", &[0, 1, 3, 4])],
        shapes: &[&[6, 7], &[7, 8], &[8, 5], &[8, 9], &[9, 4]],
    },
    Case {
        name: "twice_in_one_equation",
        equations: &[("ab,bc,cd,de,ef->af", &[0, 1, 2, 0, 1])],
        shapes: &[&[4, 9], &[9, 4], &[4, 4]],
    },
    Case {
        name: "an_output_is_an_intermediate",
        equations: &[("ab,bc->ca", &[0, 1]), ("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc->ac", &[0, 1])],
        shapes: &[&[5, 60], &[60, 6], &[6, 7]],
    },
    Case {
        name: "sums_and_diagonals",
        equations: &[("xii,ij->j", &[0, 1]), ("yaa,ab,bc->c", &[0, 1, 2]), ("xii->i", &[0])],
        shapes: &[&[3, 4, 4], &[4, 5], &[5, 6]],
    },
    Case {
        name: "broadcast",
        equations: &[("bij,bjk,kl->bil", &[0, 1, 2]), ("bij,bjk,km->im", &[0, 1, 3])],
        shapes: &[&[1, 3, 4], &[2, 4, 5], &[5, 6], &[5, 7]],
    },
    Case {
        name: "nothing_in_common",
        equations: &[("ab,bc->ac", &[0, 1]), ("ab,bc,cd->ad", &[1, 2, 0])],
        shapes: &[&[4, 5], &[5, 4], &[4, 4]],
    },
    Case {
        name: "the_same_and_views",
        equations: &[
            ("ij,jk->ik", &[0, 1]),
            ("ij,jk->ik", &[0, 1]),
            ("ij->ji", &[0]),
            ("ij->ij", &[1]),
            (",->", &[2, 2]),
        ],
        shapes: &[&[3, 4], &[4, 2], &[]],
    },
    Case {
        name: "gram_matrices",
        equations: &[("ia,ib,ac,bd->cd", &[0, 0, 1, 1]), ("ia,ic->ac", &[0, 0])],
        shapes: &[&[50, 6], &[6, 3]],
    },
];

fn many(case: &Case) -> Many {
    QEinsum::many(case.equations).unwrap()
}

#[test]
fn joint_plans_read_as_they_did() {
    for case in CASES {
        let plan = many(case).plan(case.shapes).unwrap();
        let text = format!("{plan}; at most {} bytes at a time\n", plan.peak_bytes().unwrap());
        let asked: Vec<&str> = case.equations.iter().map(|(text, _)| *text).collect();
        snapshot::assert(&format!("many__{}", case.name), &asked.join("  "), &text);
    }
    let named = QEinsum::many_named(&[
        ("row mid, mid col -> row col", &[0, 1]),
        ("row mid, mid col, col out -> out", &[0, 1, 2]),
    ]);
    let plan = named.unwrap().plan(&[&[2, 3], &[3, 4], &[4, 5]]).unwrap();
    snapshot::assert("many__named", "named syntax", &plan.to_string());
}

/// Values whose products and sums round.
pub(crate) fn operands<T: Element>(shapes: &[&[usize]], of: impl Fn(f32, f32) -> T) -> Vec<ArrayD<T>> {
    let operand = |(seed, shape): (usize, &&[usize])| {
        let mut random = Random::new(seed as u64 + 1);
        let mut next = || random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
        ArrayD::from_shape_simple_fn(IxDyn(shape), || of(next(), next()))
    };
    shapes.iter().enumerate().map(operand).collect()
}

/// That every result is what its plan alone gives, in every bit.
pub(crate) fn check_bits<T: Element>(
    many: &Many,
    operands: &[ArrayD<T>],
    key: Option<Key>,
    bits: impl Fn(&T) -> u128,
    what: &str,
) -> ManyPlan {
    let shapes: Vec<&[usize]> = operands.iter().map(ArrayD::shape).collect();
    let plan = many.plan(&shapes).unwrap();
    let outs = match key {
        Some(key) => many.run_with_key(operands, key).unwrap(),
        None => many.run(operands).unwrap(),
    };
    assert_eq!(outs.len(), plan.plans().len());
    for (number, (out, alone)) in outs.iter().zip(plan.plans()).enumerate() {
        let places = plan.operands_of(number).unwrap();
        let own: Vec<_> = places.iter().map(|&operand| operands[operand].view()).collect();
        let expected = match plan.config_of(number) {
            Some(config) => alone.run_quantized(own, config, key),
            None => alone.run(own),
        }
        .unwrap();
        assert_eq!(out.shape(), expected.shape(), "{what}, equation {number}");
        let differs = out.iter().zip(&expected).any(|(here, there)| bits(here) != bits(there));
        assert!(!differs && out.is_standard_layout(), "{what}, equation {number}:\n{plan}");
    }
    plan
}

pub(crate) fn int8() -> QuantConfig {
    DotGeneralConfig::v4().build().unwrap().into()
}

#[test]
fn results_have_the_bits_of_each_equation_alone() {
    for case in CASES {
        let (exact, what) = (many(case), case.name);
        let quantized = exact.clone().with_config(int8());
        let uneven = int8()
            .with_operand(0, TensorConfig::from_bits(Some(4)).unwrap())
            .with_intermediates(TensorConfig::UNQUANTIZED);
        let uneven = exact.clone().with_config(uneven);
        let f32s = operands(case.shapes, |re, _| re);
        let f64s = operands(case.shapes, |re, im| f64::from(re) + f64::from(im) / f64::from(1 << 22));
        let bf16s = operands(case.shapes, |re, _| bf16::from_f32(re));
        let f16s = operands(case.shapes, |re, _| f16::from_f32(re));
        let c32s = operands(case.shapes, Complex::new);
        let c64s = operands(case.shapes, |re, im| Complex::new(f64::from(re), f64::from(im) / 3.0));
        check_bits(&exact, &f64s, None, |x| x.to_bits().into(), what);
        check_bits(&exact, &c32s, None, |x| u128::from(x.re.to_bits()) << 64 | u128::from(x.im.to_bits()), what);
        check_bits(&exact, &c64s, None, |x| u128::from(x.re.to_bits()) << 64 | u128::from(x.im.to_bits()), what);
        for many in [&exact, &quantized, &uneven] {
            check_bits(many, &f32s, None, |x| x.to_bits().into(), what);
            check_bits(many, &bf16s, None, |x| x.to_bits().into(), what);
            check_bits(many, &f16s, None, |x| x.to_bits().into(), what);
        }
    }
}

/// How many calls of a plan stand for more than one.
fn shared(plan: &ManyPlan) -> usize {
    let is_call = |op: &Op| matches!(op, Op::DotGeneral { .. });
    plan.steps().iter().filter(|step| is_call(step.op()) && step.times() > 1).count()
}

#[test]
fn calls_are_shared_only_where_they_are_quantized_alike() {
    let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,ce->ae", &[0, 1, 3])]).unwrap();
    let many = many.with_paths(vec!["(0,1) (0,1)".parse().unwrap(), "(0,1) (0,1)".parse().unwrap()]);
    let shapes: &[&[usize]] = &[&[3, 4], &[4, 5], &[5, 6], &[5, 7]];
    let plan = |config: QuantConfig| many.clone().with_config(config).plan(shapes).unwrap();
    let four = TensorConfig::from_bits(Some(4)).unwrap();
    assert_eq!(shared(&plan(int8())), 1);
    assert_eq!(shared(&plan(int8().with_operand(1, four))), 1);
    assert_eq!(shared(&plan(int8().with_operand(3, four))), 1);
    // The first equation has its sides the other way round: the settings follow the operands.
    let turned = QEinsum::many(&[("bc,ab->ac", &[1, 0]), ("ab,bc->ac", &[0, 1])]).unwrap();
    assert_eq!(shared(&turned.with_config(int8().with_operand(1, four)).plan(&shapes[..2]).unwrap()), 1);
    // Of one step of one equation alone nothing is said that the other would not have.
    let own = DotGeneralConfig::v4().fwd_bits(Some(5)).build().unwrap();
    assert_eq!(shared(&plan(int8().with_step(0, own.clone()))), 1);
    let longer = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,ce,xy->ae", &[0, 1, 3, 2])]).unwrap();
    let longer = longer.with_paths(vec!["(0,1) (0,1)".parse().unwrap(), "(2,3) (0,1) (0,1)".parse().unwrap()]);
    assert_eq!(shared(&longer.clone().with_config(int8()).plan(shapes).unwrap()), 1);
    assert_eq!(shared(&longer.with_config(int8().with_step(0, own)).plan(shapes).unwrap()), 0);
}

#[test]
fn noise_is_that_of_each_equation_alone() {
    let noisy = IntNumerics { noise: Some(Noise::JaxUniform), ..IntNumerics::new(8).unwrap() };
    let config = DotGeneralConfig::v4().build().unwrap().with_forward_numerics(Numerics::Int(noisy));
    let shapes: &[&[usize]] = &[&[3, 4], &[4, 5], &[5, 6], &[6, 7]];
    let operands = operands(shapes, |re, _| re);
    let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,cd,de->ae", &[0, 1, 2, 3])]).unwrap();
    let many = many.with_config(config);
    // The same step has the same noise, another has other noise.
    for (path, expected) in [("(0,1) (0,1) (0,1)", 1), ("(0,1) (0,2) (0,1)", 2), ("(2,3) (0,1) (0,1)", 0)] {
        let many = many.clone().with_paths(vec!["(0,1) (0,1)".parse().unwrap(), path.parse().unwrap()]);
        let plan = check_bits(&many, &operands, Some(Key::new(7)), |x| x.to_bits().into(), path);
        assert_eq!(shared(&plan), expected, "{plan}");
    }
    check_bits(&many, &operands, Some(Key::new(8)), |x| x.to_bits().into(), "searched");
    assert!(many.run(&operands).unwrap_err().message().contains("no key was given"));
}

#[test]
fn other_objectives_and_larger_equations_share_too() {
    let shapes: &[&[usize]] = &[&[20, 30], &[30, 40], &[40, 20], &[40, 20]];
    let many = many(&CASES[0]);
    let (together, alone) =
        (Cost::from(2 * 20 * 40 * 20 + 20 * 30 * 40_usize), Cost::from(2 * (30 * 40 * 20 + 20 * 30 * 20_usize)));
    let plan = many.plan(shapes).unwrap();
    assert_eq!((plan.multiplications(), plan.multiplications_alone()), (&together, &alone));
    assert_eq!(plan.certificate(), JointCertificate::Optimal);
    let written = many.clone().with_search(SearchOptions::new().objective(Objective::Write)).plan(shapes).unwrap();
    assert_eq!(written.certificate(), JointCertificate::Unproved);
    let limited = many.with_search(SearchOptions::new().memory_limit(1 << 30)).plan(shapes);
    assert!(limited.unwrap_err().message().contains("not sliced"));

    // Chains of eight matrices that begin alike, where each alone would begin at its end.
    let shapes: Vec<[usize; 2]> =
        [[9, 10], [10, 12], [12, 11], [11, 13], [13, 10], [10, 9], [9, 8], [8, 7], [7, 5], [7, 4]].to_vec();
    let shapes: Vec<&[usize]> = shapes.iter().map(<[usize; 2]>::as_slice).collect();
    let chains: Equations = &[
        ("ab,bc,cd,de,ef,fg,gh,hi,ij->aj", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("ab,bc,cd,de,ef,fg,gh,hi,ij->aj", &[0, 1, 2, 3, 4, 5, 6, 7, 9]),
    ];
    let many = QEinsum::many(chains).unwrap();
    let plan = many.plan(&shapes).unwrap();
    assert!(plan.multiplications() < plan.multiplications_alone(), "{plan}");
    assert_eq!(plan, many.plan(&shapes).unwrap());
    let f32s = operands(&shapes, |re, _| re);
    check_bits(&many, &f32s, None, |x| x.to_bits().into(), "chains");
    check_bits(&many.with_config(int8()), &f32s, None, |x| x.to_bits().into(), "quantized chains");
}

#[test]
fn plans_of_the_equations_are_there_in_json() {
    for case in CASES {
        let plan = many(case).plan(case.shapes).unwrap();
        let json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
        assert_eq!(json["cost"]["multiplications"], plan.multiplications().to_string());
        assert_eq!(json["steps"].as_array().unwrap().len(), plan.steps().len());
        for (number, plan) in plan.plans().iter().enumerate() {
            let text = json["equations"][number]["plan"].to_string();
            assert_eq!(Plan::from_json(&text).unwrap(), *plan);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let plan = |equations: &[(&str, &[usize])], shapes: &[&[usize]]| -> Result<String> {
        Ok(QEinsum::many(equations)?.plan(shapes)?.to_string())
    };
    let two: Equations = &[("ij,jk->ik", &[0, 1]), ("ij,kj->ik", &[0, 1])];
    let configured = |config: QuantConfig| -> Result<String> {
        Ok(QEinsum::many(two)?.with_config(config).plan(&[&[3, 3], &[3, 3]])?.to_string())
    };
    let paths = |paths: &[&str]| -> Result<String> {
        let paths = paths.iter().map(|path| path.parse()).collect::<Result<Vec<Path>>>()?;
        Ok(QEinsum::many(two)?.with_paths(paths).plan(&[&[3, 3], &[3, 3]])?.to_string())
    };
    let run = |shapes: &[&[usize]]| -> Result<String> {
        let many = QEinsum::many(two)?.plan(&[&[3, 3], &[3, 3]])?;
        Ok(format!("{:?}", many.run(&operands(shapes, |re, _| re))?))
    };
    let four = TensorConfig::from_bits(Some(4)).unwrap();
    let cases: Vec<(&str, Result<String>)> = vec![
        ("no equation", plan(&[], &[])),
        ("an equation that is none", plan(&[("ij->i", &[0]), ("ij->->", &[0])], &[&[2, 3]])),
        ("two terms and one place", plan(&[("ij,jk->ik", &[0])], &[&[2, 3]])),
        ("a place beyond all", plan(&[("ij,jk->ik", &[0, usize::MAX])], &[&[2, 3], &[3, 4]])),
        ("an operand of no equation", plan(&[("ij,jk->ik", &[0, 2]), ("i->", &[0])], &[&[2, 3], &[3, 4], &[2]])),
        ("three operands where two are used", plan(two, &[&[3, 3], &[3, 3], &[3]])),
        ("one operand where two are used", plan(two, &[&[3, 3]])),
        ("an operand that fits the first equation alone", plan(two, &[&[2, 3], &[3, 4]])),
        ("another number of axes", plan(&[("ij->i", &[0]), ("ijk->i", &[0])], &[&[2, 3]])),
        ("a setting of operand 2", configured(int8().with_operand(2, four))),
        ("a setting of step 1", configured(int8().with_step(1, DotGeneralConfig::unquantized()))),
        ("one path for two equations", paths(&["(0,1)"])),
        ("a path of three operands", paths(&["(0,1)", "(0,1) (0,1)"])),
        ("a run on other shapes", run(&[&[3, 3], &[3, 2]])),
        ("a run on one operand", run(&[&[3, 3]])),
    ];
    let mut text = String::new();
    for (asked, result) in cases {
        let error = result.expect_err(asked);
        let _ = writeln!(text, "{asked}\n{:?}: {error}\n", error.kind());
    }
    snapshot::assert("many__errors", "what does not fit several equations", &text);
}
