//! The exact search of a few operands: all of their sets, one after the other.
//!
//! In come a problem and its bound; out goes what [`optimal`](super::optimal::optimal) would answer. For so few
//! operands a table of all sets is smaller than what it takes to find out which of them matter.

use super::number::Number;
use super::operand_set::Set as _;
use super::optimal::{Question, Trees};
use super::problem::Problem;
use super::products::Products;
use super::scorer::Combining;

/// Up to this many operands all sets are looked at.
const FEW: usize = 10;
/// And up to this many, if one shares labels with more than a few others: then most sets matter. It takes up to a
/// millisecond.
pub(super) const FEW_DENSE: usize = 12;
const DENSE: u32 = 6;

/// Whether a table of all sets serves.
pub(super) fn serves<N: Number>(problem: &Problem<u64, N>, work: u64) -> bool {
    let operands = problem.operands();
    let degrees = || (0..operands).map(|operand| problem.neighbours(u64::single(operand)).count_ones()).sum::<u32>();
    let is_small = match operands {
        2..=FEW => true,
        ..=FEW_DENSE => degrees() > DENSE * operands as u32,
        _ => false,
    };
    is_small && work >= most_work(operands)
}

/// The units of work that it takes at most: the sets, and the ways to split each in two.
fn most_work(operands: usize) -> u64 {
    3_u64.pow(operands as u32) / 2 + (1 << operands)
}

/// The sets of operands. A set is its own place.
struct Sets<N> {
    /// Some words each: the labels of the result, and those that any operand has.
    legs: Vec<u64>,
    all: Vec<u64>,
    elements: Vec<N>,
    /// What the best tree of a set scores; above the bound where none counts.
    scores: Vec<N>,
    outlines: Vec<Outline>,
    neighbours: Vec<u64>,
    /// The part of the best tree's last step that has the set's first operand.
    parts: Vec<u64>,
}

/// What is known of a set in floating point, to turn down most splits at a glance.
#[derive(Clone, Copy)]
struct Outline {
    /// The score, infinite above the bound. Then nothing else of it counts.
    score: f64,
    /// The product of all labels that the operands have.
    product: f64,
    /// What of this product is left in the result.
    share: f64,
}

/// A score in floating point that is that much larger than another is larger: errors add up to far less.
const CLEARLY: f64 = 1.0 + 1e-9;

/// Products above may leave the range of floating point, and are no number here, which no comparison turns down.
const MOST_PRODUCT: f64 = 1e300;

struct Search<'a, N> {
    question: &'a Question<'a>,
    problem: &'a Problem<u64, N>,
    products: Products<N>,
    sizes: Vec<f64>,
    words: usize,
    upper: N,
    largest: Option<N>,
    sets: Sets<N>,
    scratch: Vec<u64>,
}

/// The joins of the best tree, none where no tree scores within the bound; and the work that it took.
pub(super) fn small<N: Number>(question: &Question<'_>, problem: &Problem<u64, N>) -> (Option<Vec<[usize; 2]>>, u64) {
    let full = problem.full();
    let mut search = Search::new(question, problem);
    let mut work = full;
    for set in 1..=full {
        work += search.visit(set);
    }
    let found = search.sets.scores[full as usize] <= search.upper;
    (found.then(|| joins(&search.sets.parts, problem.operands(), full)), work)
}

impl<'a, N: Number> Search<'a, N> {
    fn new(question: &'a Question<'a>, problem: &'a Problem<u64, N>) -> Self {
        let upper = N::from_cost(question.upper);
        let above = upper.plus(&N::ONE);
        let (count, words) = (problem.full() as usize + 1, problem.words());
        let sets = Sets {
            legs: vec![0; count * words],
            all: vec![0; count * words],
            elements: vec![N::ONE; count],
            scores: vec![above; count],
            outlines: vec![Outline { score: f64::INFINITY, product: 1.0, share: 1.0 }; count],
            neighbours: vec![0; count],
            parts: vec![0; count],
        };
        let products = Products::new(&problem.sizes());
        let sizes = problem.sizes().iter().map(N::to_f64).collect();
        let largest = question.largest.map(N::from_cost);
        Self { question, problem, products, sizes, words, upper, largest, sets, scratch: Vec::with_capacity(words) }
    }

    fn legs(&self, set: u64) -> &[u64] {
        &self.sets.legs[set as usize * self.words..][..self.words]
    }

    /// The multiplications of a step.
    fn multiplications(&self, one: u64, other: u64) -> N {
        let more = self.legs(one).iter().zip(self.legs(other)).map(|(one, other)| other & !one);
        self.products.times(&self.sets.elements[one as usize], more)
    }

    /// Finds the best tree of a set whose subsets were visited before. How many splits it looked at.
    ///
    /// A step multiplies the product of all labels of its set, but for those that its sides have summed.
    fn visit(&mut self, set: u64) -> u64 {
        let place = set as usize;
        let mut legs = std::mem::take(&mut self.scratch);
        legs.clear();
        let first = set & set.wrapping_neg();
        let rest = set ^ first;
        if rest == 0 {
            legs.extend_from_slice(self.problem.legs(set.trailing_zeros() as usize));
            self.sets.neighbours[place] = self.problem.neighbours(set);
            self.sets.scores[place] = N::ZERO;
            self.sets.outlines[place].score = 0.0;
        } else {
            self.problem.join(set, self.legs(first), self.legs(rest), &mut legs);
            self.sets.neighbours[place] = self.sets.neighbours[first as usize] | self.sets.neighbours[rest as usize];
        }
        let elements = self.products.times(&N::ONE, legs.iter().copied());
        self.sets.legs[place * self.words..][..self.words].copy_from_slice(&legs);
        self.sets.elements[place] = elements.clone();
        self.scratch = legs;
        if self.question.scorer.multiplies() {
            self.multiply(first, rest, elements.to_f64());
        }
        if rest == 0 { 0 } else { self.split(set) }
    }

    /// Notes the product of all labels of a set: those of its first operand, and more of the rest.
    fn multiply(&mut self, first: u64, rest: u64, elements: f64) {
        // Numbers of the search may saturate where products of a set that counts do not; these here do not.
        let mut product = self.sets.outlines[rest as usize].product;
        for word in 0..self.words {
            let own = self.legs(first)[word];
            let others = self.sets.all[rest as usize * self.words + word];
            for label in (own & !others).members() {
                product *= self.sizes[word * 64 + label];
            }
            self.sets.all[(first | rest) as usize * self.words + word] = own | others;
        }
        let is_sound = product < MOST_PRODUCT && !self.problem.has_zero();
        let outline = &mut self.sets.outlines[(first | rest) as usize];
        outline.product = if is_sound { product } else { f64::NAN };
        outline.share = elements / outline.product;
    }

    /// The score of the step that makes a set of two others.
    fn step(&self, [one, other]: [u64; 2], multiplications: &N, set: u64) -> N {
        let scorer = self.question.scorer;
        let sides = [one, other].map(|side| &self.sets.elements[side as usize]);
        let step = scorer.step(multiplications, sides, &self.sets.elements[set as usize]);
        if !scorer.reads_layouts() {
            return step;
        }
        let runs = [(one, other), (other, one)].map(|(side, across)| {
            let operand = side.trailing_zeros() as usize;
            let gathered = || self.problem.gathered(operand, self.legs(across), self.legs(set));
            side.is_power_of_two().then(gathered).flatten()
        });
        scorer.gathering(step, sides, runs)
    }

    /// Finds the best split of a set. How many it looked at.
    fn split(&mut self, set: u64) -> u64 {
        let scorer = self.question.scorer;
        let elements = self.sets.elements[set as usize].clone();
        // What the step that makes the set scores at least, and the one that uses it.
        let (step, next) = match (self.problem.has_zero(), set == self.problem.full()) {
            (true, _) => (N::ZERO, N::ZERO),
            (false, true) => (scorer.at_least(&elements, &elements), N::ZERO),
            (false, false) => (scorer.at_least(&elements, &elements), scorer.consuming(&elements)),
        };
        let is_too_large = self.largest.as_ref().is_some_and(|largest| elements > *largest);
        if is_too_large || scorer.combine(&step, &next) > self.upper {
            return 0;
        }
        let combining = scorer.combining();
        let each = scorer.per_multiplication::<N>().to_f64();
        let product = if scorer.multiplies() { self.sets.outlines[set as usize].product * each } else { 0.0 };
        let writing = scorer.at_least(&N::ZERO, &elements).to_f64();
        let mut best = self.upper.minus(&next).plus(&N::ONE);
        let mut clearly_worse = best.to_f64() * CLEARLY;
        let mut part = 0;
        let mut work = 0;
        let first = set & set.wrapping_neg();
        let rest = set ^ first;
        // All parts that have the first operand, by the others that they have.
        let mut others = rest;
        while others != 0 {
            others = (others - 1) & rest;
            work += 1;
            let (one, other) = (first | others, rest ^ others);
            let outlines = [self.sets.outlines[one as usize], self.sets.outlines[other as usize]];
            let outline = match combining {
                Combining::Sum => {
                    outlines[0].score + outlines[1].score + writing + product * outlines[0].share * outlines[1].share
                }
                Combining::Max => outlines[0].score.max(outlines[1].score),
            };
            if outline > clearly_worse {
                continue;
            }
            if self.question.trees == Trees::Connected && self.sets.neighbours[one as usize] & other == 0 {
                continue;
            }
            let parts = scorer.combine(&self.sets.scores[one as usize], &self.sets.scores[other as usize]);
            let multiplications = if scorer.multiplies() { self.multiplications(one, other) } else { N::ZERO };
            let step = self.step([one, other], &multiplications, set);
            let score = scorer.combine(&parts, &step);
            if score < best || (score == best && part != 0 && one.comes_before(part)) {
                clearly_worse = score.to_f64() * CLEARLY;
                best = score;
                part = one;
            }
        }
        if part != 0 {
            self.sets.outlines[set as usize].score = best.to_f64();
            self.sets.scores[set as usize] = best;
            self.sets.parts[set as usize] = part;
        }
        work
    }
}

/// The joins of the best tree of a set, in ids that are never reused.
fn joins(parts: &[u64], operands: usize, full: u64) -> Vec<[usize; 2]> {
    // A set comes before its parts.
    let mut order = vec![full];
    let mut next = 0;
    while let Some(&set) = order.get(next) {
        next += 1;
        let part = parts[set as usize];
        order.extend([part, set ^ part].into_iter().filter(|part| !part.is_power_of_two()));
    }
    let last = operands + order.len() - 1;
    let id = |set: u64| match order.iter().position(|&one| one == set) {
        Some(place) => last - place,
        None => set.trailing_zeros() as usize,
    };
    order.iter().rev().map(|&set| [parts[set as usize], set ^ parts[set as usize]].map(id)).collect()
}
