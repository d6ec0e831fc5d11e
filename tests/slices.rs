//! Plans in slices: the same bits from less memory, printed, saved, loaded and refused as they should be.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{Array, ArrayD, ArrayViewD, Axis, IxDyn};
use num_complex::Complex;
use qeinsum::graph::ContractionGraph;
use qeinsum::path::{Certificate, Path, SearchOptions, Slicing};
use qeinsum::{
    DotGeneralConfig, Element, ErrorKind, Group, Label, OperandView, Plan, QEinsum, QuantConfig, Result, Stage, Stored,
};

use crate::properties::{Problem, Random, random_path, relaid, seeds};
use crate::snapshot;

/// Some labels that can be sliced together, in no order.
fn random_slices(random: &mut Random, plan: &Plan, config: Option<&QuantConfig>) -> Vec<String> {
    let (equation, path) = (plan.equation(), plan.path());
    let graph = ContractionGraph::new(equation, plan.sizes());
    let kinds = config.map_or_else(Vec::new, |config| config.call_kinds(path));
    let slicing = Slicing::new(&graph, path, &kinds).unwrap();
    let mut labels: Vec<Label> = equation.labels().collect();
    random.shuffle(&mut labels);
    let mut slices = Vec::new();
    for label in labels {
        slices.push(label);
        if random.below(3) == 0 || slicing.check(&slices).is_err() {
            slices.pop();
        }
    }
    slices.into_iter().map(|label| equation.name(label).to_owned()).collect()
}

/// Values that are rounded wherever they are added.
fn cast<T: Element>(random: &mut Random, shape: &[usize]) -> ArrayD<T> {
    let parts = if T::DTYPE.is_complex() { Some(2) } else { None };
    let shape: Vec<usize> = shape.iter().copied().chain(parts).collect();
    let values = ArrayD::from_shape_fn(IxDyn(&shape), |_| random.below(1 << 16) as f32 / 32_768.0 - 1.0);
    T::from_floats(values)
}

/// Bits: those of `f64` parts are compared as they are.
fn same<T: Element>(a: &ArrayD<T>, b: &ArrayD<T>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| format!("{a:?}") == format!("{b:?}"))
}

/// An array that is read part by part, and what was read of it.
#[derive(Debug)]
struct Kept<'a, T> {
    array: &'a ArrayD<T>,
    read: Mutex<Vec<Vec<Range<usize>>>>,
}

impl<T: Element> Stored<T> for Kept<'_, T> {
    fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    fn read(&self, part: &[Range<usize>]) -> Result<ArrayD<T>> {
        self.read.lock().unwrap().push(part.to_vec());
        let mut view = self.array.view();
        for (axis, range) in part.iter().enumerate() {
            view.slice_axis_inplace(Axis(axis), range.clone().into());
        }
        Ok(view.to_owned())
    }
}

/// The same operands stored: of each a slab is read in each pass, or all of it once.
fn check_stored<T: Element>(sliced: &Plan, operands: &[ArrayD<T>], config: Option<&QuantConfig>) -> Result<ArrayD<T>> {
    let kept: Vec<Kept<'_, T>> = operands.iter().map(|array| Kept { array, read: Mutex::default() }).collect();
    let stored: Vec<OperandView<'_, T>> = kept.iter().map(|kept| OperandView::Stored(kept)).collect();
    let made = match config {
        None => sliced.run(stored),
        Some(config) => sliced.run_quantized(stored, config, None),
    };
    for (operand, kept) in kept.iter().enumerate() {
        let lengths = |part: &[Range<usize>]| part.iter().map(ExactSizeIterator::len).collect::<Vec<_>>();
        let read = kept.read.lock().unwrap();
        match sliced.slab(operand) {
            Some(slab) => assert!(read.iter().all(|part| lengths(part) == lengths(&slab.part)), "{read:?}"),
            None => assert!(read.len() <= 1 && read.iter().all(|part| lengths(part) == kept.array.shape())),
        }
    }
    made
}

fn check<T: Element>(random: &mut Random, plan: &Plan, sliced: &Plan, config: Option<&QuantConfig>, context: &str) {
    let operands: Vec<ArrayD<T>> = plan
        .sizes()
        .shapes()
        .iter()
        .map(|shape| {
            let values = cast::<T>(random, shape);
            relaid(random, &values)
        })
        .collect();
    let (whole, parts) = match config {
        None => (plan.run(&operands[..]), sliced.run(&operands[..])),
        Some(config) => {
            (plan.run_quantized(&operands[..], config, None), sliced.run_quantized(&operands[..], config, None))
        }
    };
    let context = format!("{context} in {}\n{sliced}", T::DTYPE);
    let stored = check_stored(sliced, &operands, config);
    match (whole, parts) {
        (Ok(whole), Ok(parts)) => {
            assert!(same(&whole, &parts), "{context}\n{whole:?}\n{parts:?}");
            assert!(stored.is_ok_and(|stored| same(&whole, &stored)), "stored: {context}");
        }
        // Such as an empty contraction, which no scale fits.
        (Err(whole), Err(parts)) => assert_eq!(whole.message(), parts.message(), "{context}"),
        (whole, parts) => panic!("{context}\n{whole:?}\n{parts:?}"),
    }
}

#[test]
fn slices_change_no_bit() {
    let mut sliced_plans = 0;
    for seed in 0..seeds(1500) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let path = random_path(random, problem.operands.len());
        let shapes: Vec<&[usize]> = problem.operands.iter().map(ndarray::ArrayBase::shape).collect();
        let plan = QEinsum::new(&problem.equation()).unwrap().with_path(path).plan(&shapes).unwrap();
        let slices = random_slices(random, &plan, None);
        let context = format!("seed {seed}: {} over {slices:?}", problem.equation());
        let sliced = plan.with_slices(&slices).unwrap_or_else(|error| panic!("{context}: {error}"));
        sliced.verify().unwrap_or_else(|error| panic!("{context}: {error}\n{sliced}"));
        assert_eq!(Plan::from_json(&sliced.to_json()).unwrap(), sliced, "{context}");
        assert_eq!(sliced.with_slices(&[""; 0]).unwrap().to_string(), plan.to_string(), "{context}");
        sliced_plans += usize::from(!slices.is_empty());
        let views: Vec<ArrayViewD<'_, f64>> = problem.operands.iter().map(|operand| operand.view()).collect();
        assert_eq!(sliced.run(views).unwrap(), problem.expected(), "{context}\n{sliced}");
        match seed % 6 {
            0 => check::<f32>(random, &plan, &sliced, None, &context),
            1 => check::<f64>(random, &plan, &sliced, None, &context),
            2 => check::<half::f16>(random, &plan, &sliced, None, &context),
            3 => check::<half::bf16>(random, &plan, &sliced, None, &context),
            4 => check::<Complex<f32>>(random, &plan, &sliced, None, &context),
            _ => check::<Complex<f64>>(random, &plan, &sliced, None, &context),
        }
    }
    assert!(sliced_plans > 500, "{sliced_plans}");
}

#[test]
fn slices_change_no_bit_of_quantized_calls() {
    let some = QuantConfig::from(DotGeneralConfig::unquantized())
        .with_step(0, DotGeneralConfig::v4().build().unwrap())
        .with_operand(1, qeinsum::quant::TensorConfig::UNQUANTIZED);
    let all = QuantConfig::from(DotGeneralConfig::v4().build().unwrap());
    let mut sliced_plans = 0;
    for seed in 0..seeds(800) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        if problem.operands.len() < 2 {
            continue;
        }
        let path = random_path(random, problem.operands.len());
        let shapes: Vec<&[usize]> = problem.operands.iter().map(ndarray::ArrayBase::shape).collect();
        let plan = QEinsum::new(&problem.equation()).unwrap().with_path(path).plan(&shapes).unwrap();
        let config = if random.below(2) == 0 { &all } else { &some };
        let slices = random_slices(random, &plan, Some(config));
        let context = format!("seed {seed}: {} over {slices:?}", problem.equation());
        let sliced = plan.with_slices(&slices).unwrap_or_else(|error| panic!("{context}: {error}"));
        sliced_plans += usize::from(!slices.is_empty());
        match seed % 3 {
            0 => check::<f32>(random, &plan, &sliced, Some(config), &context),
            1 => check::<half::f16>(random, &plan, &sliced, Some(config), &context),
            _ => check::<half::bf16>(random, &plan, &sliced, Some(config), &context),
        }
    }
    assert!(sliced_plans > 150, "{sliced_plans}");
}

/// Contractions of many blocks of 1,024 terms, cut where blocks end and where they do not.
const LONG: [(&str, &str, &[&[usize]], &str); 7] = [
    ("abi,abj->ij", "(0,1)", &[&[5, 1024, 3], &[5, 1024, 4]], "a"),
    ("abi,abj->ij", "(0,1)", &[&[7, 700, 9], &[7, 700, 33]], "a"),
    ("abi,abj->ij", "(0,1)", &[&[3, 4096, 2], &[3, 4096, 2]], "a"),
    ("abi,abj->ij", "(0,1)", &[&[40, 100, 20], &[40, 100, 40]], "ab"),
    ("abci,abcj->ij", "(0,1)", &[&[3, 5, 333, 16], &[3, 5, 333, 17]], "ba"),
    ("xab,yab->", "(0,1)", &[&[2, 6, 600], &[3, 6, 600]], "a"),
    ("abi,bcj,cak->ijk", "(0,1) (0,1)", &[&[11, 12, 3], &[12, 150, 4], &[150, 11, 5]], "ac"),
];

#[test]
fn blocks_of_terms_go_on_from_slice_to_slice() {
    for (equation, path, shapes, slices) in LONG {
        let qe = QEinsum::new(equation).unwrap().with_path(path.parse().unwrap());
        let plan = qe.plan(shapes).unwrap();
        let names: Vec<String> = slices.chars().map(String::from).collect();
        let sliced = plan.with_slices(&names).unwrap();
        let random = &mut Random::new(1);
        check::<f32>(random, &plan, &sliced, None, equation);
        check::<f64>(random, &plan, &sliced, None, equation);
        check::<half::f16>(random, &plan, &sliced, None, equation);
        check::<half::bf16>(random, &plan, &sliced, None, equation);
        check::<Complex<f32>>(random, &plan, &sliced, None, equation);
        check::<Complex<f64>>(random, &plan, &sliced, None, equation);
    }
}

fn plan(equation: &str, path: &str, shapes: &[&[usize]]) -> Plan {
    QEinsum::new(equation).unwrap().with_path(path.parse::<Path>().unwrap()).plan(shapes).unwrap()
}

/// A plan to look at.
struct Case {
    /// Words for the file name.
    name: &'static str,
    equation: &'static str,
    path: &'static str,
    shapes: &'static [&'static [usize]],
    slices: &'static [&'static str],
}

const fn chain(name: &'static str, slices: &'static [&'static str]) -> Case {
    let shapes: &[&[usize]] = &[&[9, 8], &[8, 7], &[7, 6], &[6, 5]];
    Case { name, equation: "ab,bc,cd,de->ae", path: "(0,1) (0,1) (0,1)", shapes, slices }
}

const CASES: [Case; 8] = [
    chain("one_sum", &["c"]),
    chain("sums_within_sums", &["c", "d"]),
    chain("output_and_sum", &["d", "e"]),
    chain("both_outputs", &["e", "a"]),
    Case {
        name: "batch",
        equation: "bij,bjk->bik",
        path: "(0,1)",
        shapes: &[&[8, 64, 32], &[8, 32, 16]],
        slices: &["b"],
    },
    Case {
        name: "sums_of_one_call",
        equation: "abi,abj,abk->ijk",
        path: "(0,1) (0,1)",
        shapes: &[&[3, 4, 5], &[3, 4, 6], &[3, 4, 7]],
        slices: &["b", "a"],
    },
    Case {
        name: "made_before",
        equation: "ab,bc,cd->d",
        path: "(0,1) (0,1)",
        shapes: &[&[9, 8], &[8, 7], &[7, 6]],
        slices: &["d"],
    },
    Case {
        name: "diagonal_and_broadcast",
        equation: "iij,jk,ik->ki",
        path: "(0,2) (0,1)",
        shapes: &[&[3, 3, 4], &[4, 5], &[3, 1]],
        slices: &["j", "i"],
    },
];

#[test]
fn loops_read_as_they_did() {
    for Case { name, equation, path, shapes, slices } in CASES {
        let plan = plan(equation, path, shapes).with_slices(slices).unwrap();
        let text = format!("{plan}\npeak {} bytes\n", plan.peak_bytes().unwrap());
        snapshot::assert(&format!("slices__{name}"), equation, &text);
    }
}

#[test]
fn json_says_what_is_sliced() {
    let plan = plan("ab,bc,cd->ad", "(0,1) (0,1)", &[&[9, 8], &[8, 7], &[7, 6]]).with_slices(&["c", "d"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["slices"], serde_json::json!([{"label": "d", "size": 6}, {"label": "c", "size": 7}]));
    // The first step does not have d, but it runs in its loop, in the one over c.
    assert_eq!(json["cost"]["multiplications"], (9 * 8 * 7 * 6 + 9 * 7 * 6).to_string());
    assert_eq!(json["cost"]["peak_bytes"], plan.peak_bytes().unwrap());
    let groups: Vec<Group> = plan.steps().iter().map(qeinsum::Step::group).collect();
    assert_eq!(groups, [Group::PerSlice; 2]);
}

#[test]
fn damaged_plans_are_errors() {
    let plan = plan("ab,bc,cd,de->ae", "(0,1) (0,1) (0,1)", &[&[9, 8], &[8, 7], &[7, 6], &[6, 5]]);
    let sliced = plan.with_slices(&["c", "e"]).unwrap().to_json();
    let mut damaged = Vec::new();
    let document: serde_json::Value = serde_json::from_str(&sliced).unwrap();
    let mut change = |pointer: &str, value: serde_json::Value| {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        damaged.push((format!("{pointer} changed"), document.to_string()));
    };
    change("/slices", serde_json::json!([]));
    change("/slices/0/label", "b".into());
    change("/slices/0/label", "c".into());
    change("/slices/0/label", "?".into());
    change("/slices/0/size", 4.into());
    change("/slices", serde_json::json!([{"label": "c", "size": 7}, {"label": "e", "size": 5}]));
    change("/slices/1", serde_json::json!({"label": "e", "size": 5}));
    change("/cost/peak_bytes", 1.into());
    change("/cost/multiplications", "7".into());
    for step in 0..3 {
        change(&format!("/steps/{step}/group"), "after".into());
        change(&format!("/values/{}/shape/0", 4 + step), 2.into());
        change(&format!("/values/{}/shape/1", 4 + step), 2.into());
        change(&format!("/steps/{step}/multiplications"), "7".into());
        change(&format!("/steps/{step}/elements"), "7".into());
    }
    for (what, text) in damaged {
        assert!(Plan::from_json(&text).is_err(), "{what}");
    }
    // Bytes anywhere: never a panic.
    for seed in 0..seeds(300) {
        let random = &mut Random::new(seed);
        let mut bytes = sliced.clone().into_bytes();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = b"0123456789[]{},\"abcde:"[random.below(22)];
        }
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(plan) = Plan::from_json(&text)
        {
            plan.verify().unwrap();
        }
    }
}

#[test]
fn what_cannot_be_sliced_is_refused() {
    let shapes: &[&[usize]] = &[&[2, 3, 4], &[2, 3, 4, 5], &[5, 6]];
    let qe = QEinsum::new("abx,abxc,cd->d").unwrap().with_path("(0,1) (0,1)".parse().unwrap());
    let v4 = DotGeneralConfig::v4().build().unwrap();
    let noisy = DotGeneralConfig::v4().build().unwrap().with_forward_numerics(qeinsum::quant::Numerics::Int(
        qeinsum::quant::IntNumerics {
            noise: Some(qeinsum::quant::Noise::JaxUniform),
            ..qeinsum::quant::IntNumerics::new(8).unwrap()
        },
    ));
    let plan = |qe: &QEinsum, slices: &[&str]| qe.clone().with_slices(slices).plan(shapes).unwrap_err();
    let mut errors = vec![
        plan(&qe, &["z"]),
        plan(&qe, &["a", "a"]),
        plan(&qe, &["x", "a"]),
        plan(&qe.clone().with_config(v4.clone()), &["c"]),
        plan(&qe.clone().with_config(noisy), &["d"]),
        QEinsum::new("ij->i").unwrap().with_slices(&["i"]).plan(&[&[2, 3]]).unwrap_err(),
        QEinsum::new("ijk,j->i").unwrap().with_slices(&["k"]).plan(&[&[2, 3, 4], &[3]]).unwrap_err(),
        QEinsum::new("ij,jk->ik").unwrap().with_slices(&["j"]).plan(&[&[2, 1], &[1, 4]]).unwrap_err(),
        QEinsum::new("ij,jk->ik").unwrap().with_slices(&["j"]).symbolic().unwrap_err(),
    ];
    let (a, b) = (ArrayD::<f32>::ones(IxDyn(&[2, 3])), ArrayD::<f32>::ones(IxDyn(&[3, 4])));
    let two = QEinsum::new("ij,jk->ik").unwrap().with_slices(&["i"]);
    errors.push(two.vjp((&a, &b), None).unwrap_err());
    let quantized = two.with_config(v4);
    errors.push(quantized.run_recorded((&a, &b), None, |_, _| ()).unwrap_err());
    errors.push(quantized.freeze(1, &b, &[&[2, 3], &[3, 4]], None).unwrap_err());
    let text: Vec<String> = errors
        .iter()
        .map(|error| {
            assert_eq!(*error.kind(), ErrorKind::Slice, "{error}");
            error.to_string()
        })
        .collect();
    snapshot::assert("slices__errors", "what cannot be sliced", &text.join("\n"));
}

#[test]
fn threads_change_no_bit_of_slices() {
    let shapes: &[&[usize]] = &[&[301, 40], &[40, 257], &[257, 203]];
    let sliced = plan("ij,jk,kl->il", "(0,1) (0,1)", shapes).with_slices(&["k"]).unwrap();
    let rows = plan("ij,jk,kl->il", "(0,1) (0,1)", shapes).with_slices(&["l"]).unwrap();
    let random = &mut Random::new(3);
    let operands: Vec<ArrayD<f32>> = shapes.iter().map(|shape| cast::<f32>(random, shape)).collect();
    for plan in [sliced, rows] {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| plan.run(&operands[..]).unwrap())
        };
        let alone = on(1);
        for threads in [2, 3, 8] {
            assert!(same(&on(threads), &alone), "{threads} threads");
        }
    }
}

#[test]
fn handles_and_outputs_that_are_there_take_slices() {
    let a = Array::from_shape_fn((20, 30), |(i, j)| (i * 31 + j * 7) as f32 % 5.0 - 2.0);
    let b = Array::from_shape_fn((30, 10), |(i, j)| (i * 3 + j * 11) as f32 % 7.0 - 3.0);
    let qe = QEinsum::new("ij,jk->ki").unwrap();
    let whole = qe.run((&a, &b)).unwrap();
    for slices in [&["i"][..], &["j"], &["k", "j", "i"]] {
        let sliced = qe.clone().with_slices(slices);
        assert_eq!(sliced.run((&a, &b)).unwrap(), whole);
        let compiled = sliced.compile(&[a.shape(), b.shape()]).unwrap();
        let mut out = ArrayD::zeros(IxDyn(&[10, 20]));
        compiled.run_into((&a, &b), &mut out).unwrap();
        assert_eq!(out, whole);
        assert!(matches!(compiled.plan().schedule()[..], [Stage::Loop(_)]));
    }
}

#[test]
fn a_memory_limit_is_met_with_the_same_bits() {
    // A ring of squares whose corners meet: every order of contraction makes something larger than an operand.
    let qe = QEinsum::new("abc,cde,efg,gha,bdx,dfx,fhy,hby->").unwrap();
    let shapes = [[6; 3]; 8];
    let shapes: Vec<&[usize]> = shapes.iter().map(<[usize; 3]>::as_slice).collect();
    let whole = qe.plan(&shapes).unwrap();
    let operands: u64 = 8 * 216 * 4;
    let mut random = Random::new(7);
    let arrays: Vec<ArrayD<f32>> = shapes.iter().map(|shape| cast(&mut random, shape)).collect();
    let mut sliced = 0;
    for part in [2, 4, 8, 16] {
        let limit = operands + (whole.peak_bytes().unwrap() - operands) / part;
        let options = SearchOptions::new().memory_limit(limit);
        let plan = qe.clone().with_search(options).plan(&shapes).unwrap();
        assert!(plan.peak_bytes().unwrap() <= limit, "{limit}\n{plan}");
        plan.verify().unwrap();
        assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
        // The same order of contraction and of sums, in one piece.
        let unsliced = plan.with_slices(&[""; 0]).unwrap();
        assert!(unsliced.slices().is_empty() && unsliced.leading() == plan.leading());
        assert!(same(&unsliced.run(&arrays[..]).unwrap(), &plan.run(&arrays[..]).unwrap()), "{plan}");
        sliced += usize::from(!plan.slices().is_empty());
    }
    assert!(sliced > 0);
    let tight = qe.with_search(SearchOptions::new().memory_limit(operands));
    let error = tight.plan(&shapes).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Limit);
}

#[test]
fn an_output_larger_than_what_is_left_for_the_rest_is_no_obstacle() {
    // Operands and output are there in any case; the limit leaves less than one of them for what is made on the way.
    let cases: [(&str, &[&[usize]]); 3] = [
        ("i,j,ij->ij", &[&[300], &[300], &[300, 300]]),
        ("ab,bc,cd->ad", &[&[400, 300], &[300, 300], &[300, 400]]),
        ("abi,abj,ij->ab", &[&[40, 50, 8], &[40, 50, 9], &[8, 9]]),
    ];
    for (equation, shapes) in cases {
        let qe = QEinsum::new(equation).unwrap();
        let whole = qe.plan(shapes).unwrap();
        let output: usize = whole.value(whole.output()).shape().iter().product();
        let operands: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        let limit = 4 * (operands + output + output / 4) as u64;
        assert!(whole.peak_bytes().unwrap() > limit, "{equation}");
        let limited = qe.clone().with_search(SearchOptions::new().memory_limit(limit));
        let plan = limited.plan(shapes).unwrap();
        assert!(!plan.slices().is_empty() && plan.peak_bytes().unwrap() <= limit, "{plan}");
        let arrays: Vec<ArrayD<f32>> = shapes.iter().map(|shape| cast(&mut Random::new(5), shape)).collect();
        let unsliced = plan.with_slices(&[""; 0]).unwrap();
        assert!(same(&unsliced.run(&arrays[..]).unwrap(), &limited.run(&arrays[..]).unwrap()), "{plan}");
    }
}

#[test]
fn a_path_that_is_given_is_sliced_and_stays() {
    let shapes: [&[usize]; 4] = [&[30, 40], &[40, 50], &[50, 20], &[20, 30]];
    let path: Path = "(0,1) (0,1) (0,1)".parse().unwrap();
    let qe = QEinsum::new("ab,bc,cd,da->").unwrap().with_path(path.clone());
    let limited = qe.with_search(SearchOptions::new().memory_limit(24_000)).with_path(path.clone());
    let plan = limited.plan(&shapes).unwrap();
    assert!(!plan.slices().is_empty() && plan.peak_bytes().unwrap() <= 24_000);
    assert_eq!((plan.path(), plan.certificate()), (&path, &Certificate::Given));
    let operands = shapes.map(|shape| cast::<f32>(&mut Random::new(4), shape));
    let unsliced = plan.with_slices(&[""; 0]).unwrap();
    assert!(same(&unsliced.run(&operands[..]).unwrap(), &limited.run(&operands[..]).unwrap()));
}

#[test]
fn sums_of_sliced_labels_may_come_first() {
    // Rows of one step sum `b` before `d`; a plan that leads with `d` is sliced by it alone.
    let qe = QEinsum::new("abd,bdc->ac").unwrap();
    let plan = qe.plan(&[&[3, 40, 50], &[40, 50, 4]]).unwrap();
    assert!(plan.with_slices(&["d"]).is_err());
    let leading = plan.with_leading(&["d"]).unwrap();
    let sliced = leading.with_slices(&["d"]).unwrap();
    assert!(sliced.to_string().contains("sums d first\n"), "{sliced}");
    let mut random = Random::new(3);
    let arrays: Vec<ArrayD<f32>> =
        [vec![3, 40, 50], vec![40, 50, 4]].iter().map(|shape| cast(&mut random, shape)).collect();
    assert!(same(&leading.run(&arrays[..]).unwrap(), &sliced.run(&arrays[..]).unwrap()));
    assert_eq!(Plan::from_json(&sliced.to_json()).unwrap(), sliced);
    assert!(plan.with_leading(&["z"]).is_err());
}
