//! Random equations: every order, every optimizer, every memory layout gives what the naive interpreter gives.
//!
//! Operands hold small integers, so that sums are exact and any two right answers are equal.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use qeinsum::path::{Optimizer, Path, SearchOptions};
use qeinsum::{QEinsum, interpret};

use crate::fuzz::choices::Decide;

/// A small deterministic generator (xorshift64*), so that a failure names its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % bound.max(1)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl Decide for Random {
    fn below(&mut self, bound: usize) -> usize {
        Self::below(self, bound)
    }
}

pub(crate) struct Problem {
    terms: Vec<String>,
    output: String,
    pub(crate) operands: Vec<ArrayD<f64>>,
}

impl Problem {
    /// Up to five operands of up to four labels, repeated and lone ones included; sizes 0 to 4, some broadcasting.
    pub(crate) fn random(random: &mut Random) -> Self {
        const LABELS: [char; 7] = ['a', 'b', 'i', 'j', 'k', 'Z', 'β'];
        let smallest = usize::from(random.below(8) > 0);
        let sizes: Vec<usize> = LABELS.iter().map(|_| smallest + random.below(4)).collect();
        let labels = 1 + random.below(LABELS.len());
        let mut terms = Vec::new();
        let mut operands = Vec::new();
        for _ in 0..=random.below(5) {
            let ids: Vec<usize> = (0..random.below(5)).map(|_| random.below(labels)).collect();
            let broadcast = if random.below(4) == 0 { ids.get(random.below(4)).copied() } else { None };
            let shape: Vec<usize> = ids.iter().map(|&id| if Some(id) == broadcast { 1 } else { sizes[id] }).collect();
            terms.push(ids.iter().map(|&id| LABELS[id]).collect::<String>());
            operands.push(ArrayD::from_shape_fn(IxDyn(&shape), |_| random.below(7) as f64 - 3.0));
        }
        let mut present: Vec<char> = terms.iter().flat_map(|term| term.chars()).collect();
        present.sort_unstable();
        present.dedup();
        random.shuffle(&mut present);
        present.truncate(random.below(present.len() + 1));
        Self { terms, output: present.into_iter().collect(), operands }
    }

    pub(crate) fn equation(&self) -> String {
        format!("{}->{}", self.terms.join(","), self.output)
    }

    pub(crate) fn expected(&self) -> ArrayD<f64> {
        let ranks: Vec<usize> = self.operands.iter().map(ndarray::ArrayBase::ndim).collect();
        let equation = QEinsum::new(&self.equation()).unwrap().equation(&ranks).unwrap();
        let views: Vec<ArrayViewD<'_, f64>> = self.operands.iter().map(|operand| operand.view()).collect();
        interpret(&equation, &views).unwrap()
    }

    fn shuffled(&self, random: &mut Random) -> Self {
        let mut order: Vec<usize> = (0..self.terms.len()).collect();
        random.shuffle(&mut order);
        Self {
            terms: order.iter().map(|&at| self.terms[at].clone()).collect(),
            output: self.output.clone(),
            operands: order.iter().map(|&at| self.operands[at].clone()).collect(),
        }
    }
}

pub(crate) fn random_path(random: &mut Random, operands: usize) -> Path {
    let steps = (2..=operands).rev().map(|left| {
        let first = random.below(left);
        [first, (first + 1 + random.below(left - 1)) % left]
    });
    Path::new(steps.collect()).unwrap()
}

/// The same values in another memory layout: axes stored in another order, some of them backwards.
pub(crate) fn relaid<T: Copy + PartialEq + std::fmt::Debug>(random: &mut Random, array: &ArrayD<T>) -> ArrayD<T> {
    let mut order: Vec<usize> = (0..array.ndim()).collect();
    random.shuffle(&mut order);
    let mut inverse = vec![0; order.len()];
    for (at, &axis) in order.iter().enumerate() {
        inverse[axis] = at;
    }
    let stored = array.view().permuted_axes(order).as_standard_layout().into_owned();
    let mut relaid = stored.permuted_axes(inverse);
    for axis in 0..array.ndim() {
        if random.below(3) == 0 {
            let backwards = relaid.slice_axis(Axis(axis), Slice::new(0, None, -1)).to_owned();
            relaid = backwards;
            relaid.invert_axis(Axis(axis));
        }
    }
    assert_eq!(relaid, *array);
    relaid
}

/// How many random equations: more where `QEINSUM_SEEDS` says so.
pub(crate) fn seeds(usual: u64) -> u64 {
    std::env::var("QEINSUM_SEEDS").map_or(usual, |seeds| seeds.parse().unwrap())
}

#[test]
fn every_way_of_running_an_equation_gives_the_same() {
    for seed in 0..seeds(1500) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let equation = problem.equation();
        let expected = problem.expected();
        let context = format!("seed {seed}: {equation}");
        let qe = QEinsum::new(&equation).unwrap();
        for optimizer in [Optimizer::Auto, Optimizer::Optimal, Optimizer::Greedy, Optimizer::None] {
            let qe = qe.clone().with_search(SearchOptions::default().optimizer(optimizer));
            let views: Vec<_> = problem.operands.iter().map(|operand| operand.view()).collect();
            let out = qe.run(views).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(out, expected, "{context} by {optimizer:?}");
        }
        let relaid: Vec<ArrayD<f64>> = problem.operands.iter().map(|operand| relaid(random, operand)).collect();
        let path = random_path(random, problem.terms.len());
        let views: Vec<_> = relaid.iter().map(|operand| operand.view()).collect();
        let out = qe.with_path(path.clone()).run(views).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(out, expected, "{context} by {path} in another layout");
        let shuffled = problem.shuffled(random);
        let views: Vec<_> = shuffled.operands.iter().map(|operand| operand.view()).collect();
        let out = QEinsum::new(&shuffled.equation()).unwrap().run(views).unwrap();
        assert_eq!(out, expected, "{context} as {}", shuffled.equation());
    }
}

#[test]
fn plans_verify_and_round_trip() {
    for seed in 0..seeds(600) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let shapes: Vec<&[usize]> = problem.operands.iter().map(ndarray::ArrayBase::shape).collect();
        let path = random_path(random, problem.terms.len());
        let plan = QEinsum::new(&problem.equation()).unwrap().with_path(path).plan(&shapes).unwrap();
        plan.verify().unwrap();
        assert_eq!(qeinsum::Plan::from_json(&plan.to_json()).unwrap(), plan, "seed {seed}: {}", problem.equation());
    }
}
