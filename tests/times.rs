//! Paths that take the least time, as the speeds predict it.

use std::sync::Arc;

use qeinsum::graph::ContractionGraph;
use qeinsum::path::{Arithmetic, Certificate, Objective, Path, SearchOptions, Speeds, search};
use qeinsum::{DotGeneralConfig, ErrorKind, Key, QEinsum};

use crate::snapshot;

fn options() -> SearchOptions {
    SearchOptions::new().objective(Objective::Time)
}

/// Every path of so many operands.
fn all_paths(operands: usize) -> Vec<Path> {
    let mut paths = vec![Vec::new()];
    for left in (2..=operands).rev() {
        let pairs = (1..left).flat_map(|later| (0..later).map(move |earlier| [earlier, later]));
        let longer = |path: &Vec<[usize; 2]>| pairs.clone().map(|pair| [path.as_slice(), &[pair]].concat()).collect();
        paths = paths.iter().flat_map(|path| -> Vec<Vec<[usize; 2]>> { longer(path) }).collect();
    }
    paths.into_iter().map(|steps| Path::new(steps).unwrap()).collect()
}

/// A random equation of three to five operands, with shapes.
fn random(seed: u32) -> (String, Vec<Vec<usize>>) {
    let mut values = Key::new(9).fold_in(seed).uniform(64).into_iter();
    let mut below = |bound: usize| (values.next().unwrap() * bound as f32) as usize % bound;
    let sizes: Vec<usize> = (0..7).map(|_| [1, 2, 5, 16, 60, 300][below(6)]).collect();
    let terms: Vec<Vec<usize>> =
        (0..3 + below(3)).map(|_| (0..7).filter(|_| below(5) < 2).collect::<Vec<usize>>()).collect();
    let output: Vec<usize> =
        (0..7).filter(|label| terms.iter().any(|term| term.contains(label)) && below(3) == 0).collect();
    let text = |term: &Vec<usize>| term.iter().map(|&label| char::from(b'a' + label as u8)).collect::<String>();
    // Axes of an operand lie in any order in memory.
    let rotated = |term: &Vec<usize>| {
        let mut term = term.clone();
        let by = seed as usize % term.len().max(1);
        term.rotate_left(by);
        term
    };
    let terms: Vec<Vec<usize>> = terms.iter().map(rotated).collect();
    let written: Vec<String> = terms.iter().map(text).collect();
    let shapes = terms.iter().map(|term| term.iter().map(|&label| sizes[label]).collect()).collect();
    (format!("{}->{}", written.join(","), text(&output)), shapes)
}

#[test]
fn the_least_time_is_found_and_proved() {
    let paths: Vec<Vec<Path>> = (0..=5).map(all_paths).collect();
    for seed in 0..150 {
        let (equation, shapes) = random(seed);
        let qe = QEinsum::new(&equation).unwrap();
        let (equation, sizes) = qe.bind(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        let graph = ContractionGraph::new(&equation, &sizes);
        for arithmetic in [Arithmetic::F32, Arithmetic::Int8] {
            let options = options().arithmetic(arithmetic);
            let found = search(&graph, &options).unwrap();
            let scores = paths[shapes.len()].iter().map(|path| options.score(&graph, path).unwrap());
            assert_eq!(Some(options.score(&graph, &found.path).unwrap()), scores.min(), "{equation} {arithmetic:?}");
            assert_eq!(found.certificate, Certificate::Optimal);
        }
    }
}

#[test]
fn a_score_is_what_its_plan_is_predicted_to_take() {
    let speeds = Speeds::shipped();
    let config = DotGeneralConfig::v4().build().unwrap().into();
    let mut compared = 0;
    for seed in 0..1200 {
        let (equation, shapes) = random(seed);
        let qe = QEinsum::new(&equation).unwrap().with_search(options());
        let plan = qe.plan(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        let graph = ContractionGraph::new(plan.equation(), plan.sizes());
        for (arithmetic, config) in [(Arithmetic::F32, None), (Arithmetic::Int8, Some(&config))] {
            let score = options().arithmetic(arithmetic).score(&graph, plan.path()).unwrap().to_f64() * 1e-15;
            let prediction = plan.predict(config, &[], speeds);
            let calls = plan.steps().iter().zip(&prediction.per_step);
            let calls = calls.filter(|(step, _)| matches!(step.op(), qeinsum::Op::DotGeneral { .. }));
            let seconds: f64 = calls.map(|(_, seconds)| seconds).sum();
            // Sums in one operand change how it lies, which the plan knows and the search does not.
            if plan.steps().len() == plan.calls().count() {
                assert!((score / seconds - 1.0).abs() < 1e-2, "{equation}: {score} {seconds}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 40, "only {compared} plans were compared");
}

#[test]
fn quantization_may_choose_another_order_and_says_why() {
    let shapes: [&[usize]; 3] = [&[256, 2, 4, 8], &[256, 256, 4], &[256, 2]];
    let float = QEinsum::new("acde,abd,bc->e").unwrap().with_search(options());
    let quantized = float.clone().with_config(DotGeneralConfig::v4().build().unwrap());
    let orders = [&float, &quantized].map(|qe| qe.plan(&shapes).unwrap().order());
    assert_ne!(orders[0], orders[1]);
    let text = quantized.explain(&shapes).unwrap();
    snapshot::assert("explained_order_for_time", "acde,abd,bc->e in int8, for the least time", &text);
    let text = float.explain(&shapes).unwrap();
    snapshot::assert("explained_order_for_time_in_f32", "acde,abd,bc->e in f32, for the least time", &text);
}

#[test]
fn other_speeds_give_other_orders() {
    // Nothing is dear but to gather.
    let mut table: serde_json::Value = serde_json::from_str(&Speeds::shipped().to_json()).unwrap();
    for one in table["arithmetics"].as_array_mut().unwrap() {
        one[1]["gather_fs"] = serde_json::json!(vec![1_000_000_000_u64; 6]);
    }
    let speeds = Arc::new(Speeds::from_json(&table.to_string()).unwrap());
    let shapes: [&[usize]; 3] = [&[8], &[8, 30, 16], &[30]];
    let qe = QEinsum::new("a,abc,b->c").unwrap();
    let plan = qe.clone().with_search(options().speeds(speeds)).plan(&shapes).unwrap();
    // `b` lies between two others in `abc`.
    assert_ne!(plan.order(), "(1,2) (0,1)");
}

#[test]
fn times_need_sizes() {
    let error = QEinsum::new("ij,jk->ik").unwrap().with_search(options()).symbolic().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Path);
    assert_eq!(error.message(), "times need sizes, which the symbolic view does not have");
}
