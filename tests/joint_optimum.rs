//! Random equations over common operands: the best paths together, by looking at all of them.

use std::collections::BTreeMap;

use qeinsum::path::{Cost, Path};
use qeinsum::{JointCertificate, Op, Plan, QEinsum};

use crate::many::{check_bits, int8, operands};
use crate::properties::Random;

/// Equations, each with its operands.
type Equations = Vec<(String, Vec<usize>)>;

/// The calls of a plan, each written out down to the common operands, with its cost.
fn calls(plan: &Plan, places: &[usize]) -> BTreeMap<String, Cost> {
    let mut values: Vec<String> = places.iter().map(|operand| format!("%{operand}")).collect();
    let mut costs = plan.cost().per_step.iter().map(|step| step.multiplications.clone());
    let mut calls = BTreeMap::new();
    for step in plan.steps() {
        let inputs: Vec<&str> = step.op().inputs().map(|id| values[id.index()].as_str()).collect();
        let text = match step.op() {
            Op::DotGeneral { dims, .. } => format!("({} {dims} {})", inputs[0], inputs[1]),
            Op::Squeeze { axes, .. } => format!("(squeeze {} {axes:?})", inputs[0]),
            Op::ReduceSum { axes, .. } => format!("(sum {} {axes:?})", inputs[0]),
            Op::Diagonal { axes, .. } => format!("(diagonal {} {axes:?})", inputs[0]),
            Op::Transpose { permutation, .. } => format!("(transpose {} {permutation:?})", inputs[0]),
        };
        if inputs.len() == 2 {
            calls.insert(text.clone(), costs.next().unwrap());
        }
        values.push(text);
    }
    calls
}

fn paths(operands: usize) -> Vec<Path> {
    let mut all: Vec<Vec<[usize; 2]>> = vec![Vec::new()];
    for left in (2..=operands).rev() {
        let pairs = (0..left).flat_map(|later| (0..later).map(move |earlier| [earlier, later]));
        let pairs: Vec<[usize; 2]> = pairs.collect();
        all = all.iter().flat_map(|steps| pairs.iter().map(|&pair| [&steps[..], &[pair]].concat())).collect();
    }
    all.into_iter().map(|steps| Path::new(steps).unwrap()).collect()
}

/// Up to three random equations over four common operands whose axes all have one size, repeated labels and sums included.
fn random(random: &mut Random) -> (Equations, Vec<Vec<usize>>) {
    let size = 2 + random.below(2);
    let ranks = [1 + random.below(2), 2, 2, 3];
    let mut equations = Equations::new();
    for _ in 0..2 + random.below(2) {
        let labels = 3 + random.below(3);
        let operands: Vec<usize> = (0..2 + random.below(3)).map(|_| random.below(4)).collect();
        // Most begin as the first does, or are it with another output.
        if let (Some((first, places)), true) = (equations.first(), random.below(4) > 0) {
            let terms = first.split("->").next().unwrap_or_default();
            let more = if random.below(2) > 0 && places.len() < 4 { Some(random.below(4)) } else { None };
            let more_term: String = (0..more.map_or(0, |more| ranks[more]))
                .map(|_| char::from(b'a' + random.below(labels) as u8))
                .collect();
            let mut output: Vec<char> = terms.chars().filter(|&label| label != ',').chain(more_term.chars()).collect();
            output.sort_unstable();
            output.dedup();
            random.shuffle(&mut output);
            output.truncate(random.below(3));
            let output: String = output.into_iter().collect();
            let comma = if more.is_some() { "," } else { "" };
            let places = places.iter().copied().chain(more).collect();
            equations.push((format!("{terms}{comma}{more_term}->{output}"), places));
            continue;
        }
        let mut term = |&operand: &usize| -> String {
            (0..ranks[operand]).map(|_| char::from(b'a' + random.below(labels) as u8)).collect()
        };
        let terms: Vec<String> = operands.iter().map(&mut term).collect();
        let mut output: Vec<char> = terms.concat().chars().collect();
        output.sort_unstable();
        output.dedup();
        random.shuffle(&mut output);
        output.truncate(random.below(4));
        equations.push((format!("{}->{}", terms.join(","), output.iter().collect::<String>()), operands));
    }
    // Every common operand has to be somewhere.
    equations.extend(ranks.iter().enumerate().map(|(operand, &rank)| ("abc"[..rank].to_owned() + "->", vec![operand])));
    (equations, ranks.iter().map(|&rank| vec![size; rank]).collect())
}

#[test]
fn few_operands_have_the_best_paths_together() {
    let mut shared_something = 0;
    for seed in 0..40 {
        let (equations, shapes) = random(&mut Random::new(seed));
        let equations: Vec<(&str, &[usize])> =
            equations.iter().map(|(text, operands)| (text.as_str(), operands.as_slice())).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let many = QEinsum::many(&equations).unwrap();
        let plan = many.plan(&shapes).unwrap();
        assert!(plan.multiplications() <= plan.multiplications_alone(), "seed {seed}:\n{plan}");
        assert_eq!(plan.certificate(), JointCertificate::Optimal, "seed {seed}:\n{plan}");
        shared_something += usize::from(plan.multiplications() < plan.multiplications_alone());
        let small = operands(&shapes, |re, _| re);
        check_bits(&many, &small, None, |x| x.to_bits().into(), &format!("seed {seed}"));
        check_bits(&many.clone().with_config(int8()), &small, None, |x| x.to_bits().into(), &format!("seed {seed}"));

        // All choices of paths, by equation those whose calls differ.
        let ways = |(text, places): &(&str, &[usize])| {
            let own: Vec<&[usize]> = places.iter().map(|&operand| shapes[operand]).collect();
            let einsum = QEinsum::new(text).unwrap();
            let way = |path: Path| calls(&einsum.clone().with_path(path).plan(&own).unwrap(), places);
            let mut ways: Vec<BTreeMap<String, Cost>> = paths(places.len()).into_iter().map(way).collect();
            ways.sort();
            ways.dedup();
            ways
        };
        let all =
            equations.iter().map(ways).fold(vec![BTreeMap::new()], |choices: Vec<BTreeMap<String, Cost>>, ways| {
                let both = |choice: &BTreeMap<String, Cost>, way: &BTreeMap<String, Cost>| {
                    choice.iter().chain(way).map(|(call, cost)| (call.clone(), cost.clone())).collect()
                };
                let mut all: Vec<BTreeMap<String, Cost>> =
                    choices.iter().flat_map(|choice| ways.iter().map(move |way| both(choice, way))).collect();
                all.sort_by_cached_key(|choice| choice.values().sum::<Cost>());
                // More than so many choices are not looked through.
                all.truncate(6000);
                all
            });
        let best: Cost = all[0].values().sum();
        assert!(*plan.multiplications() <= best, "seed {seed}: {best}\n{plan}");
        let chosen: BTreeMap<String, Cost> =
            plan.plans().iter().zip(&equations).flat_map(|(plan, (_, places))| calls(plan, places)).collect();
        assert_eq!(*plan.multiplications(), chosen.values().sum(), "seed {seed}:\n{plan}");
        if all.len() < 6000 {
            assert_eq!(*plan.multiplications(), best, "seed {seed}:\n{plan}");
        }
    }
    assert!(shared_something > 10, "{shared_something}");
}
