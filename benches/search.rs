//! The search for a path, in this process: `cargo bench --bench search`.
//!
//! What it has to keep: two operands 2 µs, ten operands 1 ms, a proof of 12 operands 1 ms, one of 20 operands with up to
//! five neighbours 100 ms, a chain of 1,000 300 ms; a family's choice 1 µs, a family of six operands 2 s. `benches/planner`
//! has other planners beside it, and more problems.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use qeinsum::graph::ContractionGraph;
use qeinsum::path::{Family, FamilyOptions, SearchOptions, search};
use qeinsum::{Equation, Sizes, Syntax};

/// Operands, the pairs that a label joins, and the labels that stay.
struct Case {
    name: &'static str,
    operands: usize,
    pairs: Vec<[usize; 2]>,
    kept: &'static [usize],
}

fn cases() -> Vec<Case> {
    vec![
        Case { name: "operands_2", operands: 2, pairs: ring(2, &[1]), kept: &[] },
        Case { name: "chain_10", operands: 10, pairs: chain(10), kept: &[0, 9] },
        Case { name: "ring_10_degree_4", operands: 10, pairs: ring(10, &[1, 3]), kept: &[] },
        Case { name: "proof_12_degree_4", operands: 12, pairs: ring(12, &[1, 5]), kept: &[0] },
        Case { name: "proof_12_dense", operands: 12, pairs: ring(12, &[1, 2, 3, 4, 5]), kept: &[] },
        Case { name: "proof_12_clique", operands: 12, pairs: ring(12, &[1, 2, 3, 4, 5, 6]), kept: &[] },
        Case { name: "scalars_30", operands: 30, pairs: Vec::new(), kept: &[] },
        Case { name: "chain_1000", operands: 1000, pairs: chain(1000), kept: &[0, 999] },
        Case { name: "proof_20_degree_3", operands: 20, pairs: ring(20, &[1, 10]), kept: &[] },
        Case { name: "proof_20_degree_4", operands: 20, pairs: ring(20, &[1, 7]), kept: &[] },
        Case { name: "proof_20_degree_5", operands: 20, pairs: ring(20, &[1, 7, 10]), kept: &[] },
        Case { name: "lattice_6x6", operands: 36, pairs: lattice([6, 6, 1]), kept: &[] },
        Case { name: "lattice_3x3x4", operands: 36, pairs: lattice([3, 3, 4]), kept: &[] },
        Case { name: "lattice_12x12", operands: 144, pairs: lattice([12, 12, 1]), kept: &[] },
    ]
}

fn chain(operands: usize) -> Vec<[usize; 2]> {
    (1..operands).map(|next| [next - 1, next]).collect()
}

/// Every operand is joined with those that are so many places away on a ring.
fn ring(operands: usize, distances: &[usize]) -> Vec<[usize; 2]> {
    let mut pairs: Vec<_> = (0..operands)
        .flat_map(|one| distances.iter().map(move |distance| (one, (one + distance) % operands)))
        .map(|(one, other)| [one.min(other), one.max(other)])
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn lattice([rows, columns, layers]: [usize; 3]) -> Vec<[usize; 2]> {
    let place = |row, column, layer| (row * columns + column) * layers + layer;
    let mut pairs = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            for layer in 0..layers {
                let here = place(row, column, layer);
                if row + 1 < rows {
                    pairs.push([here, place(row + 1, column, layer)]);
                }
                if column + 1 < columns {
                    pairs.push([here, place(row, column + 1, layer)]);
                }
                if layer + 1 < layers {
                    pairs.push([here, place(row, column, layer + 1)]);
                }
            }
        }
    }
    pairs
}

/// The network with sizes of 2 to 5.
fn bound(case: &Case) -> (Equation, Sizes) {
    let mut state = 1_u32;
    let mut size = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        2 + (state >> 30) as usize
    };
    let mut operands = vec![Vec::new(); case.operands];
    let mut sizes = BTreeMap::new();
    for (number, pair) in case.pairs.iter().enumerate() {
        let label = format!("i{number}");
        for &operand in pair {
            operands[operand].push(label.clone());
        }
        sizes.insert(label, size());
    }
    let mut output = Vec::new();
    for &operand in case.kept {
        let label = format!("o{operand}");
        operands[operand].push(label.clone());
        sizes.insert(label.clone(), size());
        output.push(label);
    }
    let equation = Equation::new(Syntax::Named, &operands, &output).expect("labels of this list are sound");
    let sizes = Sizes::from_names(&equation, &sizes).expect("every label has a size");
    (equation, sizes)
}

fn searches(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    group.sample_size(10);
    for case in cases() {
        let (equation, sizes) = bound(&case);
        let graph = ContractionGraph::new(&equation, &sizes);
        let options = SearchOptions::new();
        let found = search(&graph, &options).expect("only the reference's search fails");
        if case.operands <= 12 {
            assert!(found.certificate.is_optimal(), "{}: {}", case.name, found.certificate);
        }
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| search(black_box(&graph), &options).expect("it went well the first time"));
        });
    }
    group.finish();
}

/// Chains, which are what families are compared by, and a ring of six operands, whose outer products may be worth it.
fn families(c: &mut Criterion) {
    let mut group = c.benchmark_group("family");
    group.sample_size(10);
    let cases = [
        Case { name: "chain_4", operands: 4, pairs: chain(4), kept: &[0, 3] },
        Case { name: "chain_6", operands: 6, pairs: chain(6), kept: &[0, 5] },
        Case { name: "ring_6", operands: 6, pairs: ring(6, &[1]), kept: &[] },
    ];
    for case in cases {
        let (equation, sizes) = bound(&case);
        let ranges = equation.labels().map(|label| (equation.name(label).to_owned(), 2..=1000)).collect();
        let make =
            || Family::new(&equation, &ranges, &FamilyOptions::new()).expect("the ranges are those of the equation");
        let family = make();
        group.bench_function(format!("choose_{}", case.name), |bencher| {
            bencher.iter(|| family.choose(black_box(&sizes)));
        });
        group.bench_function(format!("make_{}", case.name), |bencher| bencher.iter(make));
    }
    group.finish();
}

criterion_group!(benches, searches, families);
criterion_main!(benches);
