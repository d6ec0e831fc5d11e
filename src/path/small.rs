//! The exact search of a few operands: all of their sets, one after the other.
//!
//! In come a problem and its bound; out goes what [`optimal`](super::optimal::optimal) would answer. For so few
//! operands a table of all sets is smaller than what it takes to find out which of them matter.

use super::number::Number;
use super::operand_set::Set as _;
use super::optimal::{Question, Trees};
use super::problem::Problem;

/// Up to this many operands all sets are looked at. It takes some 40 us then.
pub(super) const FEW: usize = 10;

/// The units of work that it takes at most: the sets, and the ways to split each in two.
pub(super) fn most_work(operands: usize) -> u64 {
    3_u64.pow(operands as u32) / 2 + (1 << operands)
}

/// The sets of operands. A set is its own place.
struct Sets<N> {
    legs: Vec<u64>,
    elements: Vec<N>,
    /// What the best tree of a set scores; above the bound where none counts.
    scores: Vec<N>,
    neighbours: Vec<u64>,
    /// The part of the best tree's last step that has the set's first operand.
    parts: Vec<u64>,
}

/// The joins of the best tree, none where no tree scores within the bound; and the work that it took.
///
/// The problem's labels must fit one word.
pub(super) fn small<N: Number>(question: &Question<'_>, problem: &Problem<u64, N>) -> (Option<Vec<[usize; 2]>>, u64) {
    let upper = N::from_cost(question.upper);
    let above = upper.plus(&N::ONE);
    let largest = question.largest.map(N::from_cost);
    let scorer = question.scorer;
    let full = problem.full();
    let count = full as usize + 1;
    let mut sets = Sets {
        legs: vec![0; count],
        elements: vec![N::ONE; count],
        scores: vec![above.clone(); count],
        neighbours: vec![0; count],
        parts: vec![0; count],
    };
    let mut legs = Vec::with_capacity(1);
    let mut work = full;
    for set in 1..=full {
        let place = set as usize;
        let first = set & set.wrapping_neg();
        let rest = set ^ first;
        if rest == 0 {
            let operand = set.trailing_zeros() as usize;
            sets.legs[place] = problem.legs(operand)[0];
            sets.elements[place] = problem.elements(problem.legs(operand));
            sets.neighbours[place] = problem.neighbours(set);
            sets.scores[place] = N::ZERO;
            continue;
        }
        problem.join(set, &[sets.legs[first as usize]], &[sets.legs[rest as usize]], &mut legs);
        let elements = problem.elements(&legs);
        sets.legs[place] = legs[0];
        sets.neighbours[place] = sets.neighbours[first as usize] | sets.neighbours[rest as usize];
        sets.elements[place] = elements.clone();
        // What the step that makes the set scores at least, and the one that uses it.
        let (step, next) = match (problem.has_zero(), set == full) {
            (true, _) => (N::ZERO, N::ZERO),
            (false, true) => (scorer.at_least(&elements, &elements), N::ZERO),
            (false, false) => (scorer.at_least(&elements, &elements), scorer.consuming(&elements)),
        };
        let is_too_large = largest.as_ref().is_some_and(|largest| elements > *largest);
        if is_too_large || scorer.combine(&step, &next) > upper {
            continue;
        }
        let mut best = upper.minus(&next).plus(&N::ONE);
        let mut part = 0;
        // All parts that have the first operand, by the others that they have.
        let mut others = rest;
        while others != 0 {
            others = (others - 1) & rest;
            work += 1;
            let (one, other) = (first | others, rest ^ others);
            let parts = scorer.combine(&sets.scores[one as usize], &sets.scores[other as usize]);
            if scorer.combine(&parts, &step) > best {
                continue;
            }
            if question.trees == Trees::Connected && sets.neighbours[one as usize] & other == 0 {
                continue;
            }
            let multiplications = if scorer.multiplies() {
                let (legs, others) = ([sets.legs[one as usize]], [sets.legs[other as usize]]);
                problem.multiplications(&sets.elements[one as usize], &legs, &others)
            } else {
                N::ZERO
            };
            let sides = [&sets.elements[one as usize], &sets.elements[other as usize]];
            let step = scorer.step(&multiplications, sides, &elements);
            let step = if scorer.reads_layouts() {
                let runs = [(one, other), (other, one)].map(|(side, across)| {
                    let is_operand = side.is_power_of_two();
                    let operand = side.trailing_zeros() as usize;
                    is_operand.then(|| problem.gathered(operand, &[sets.legs[across as usize]], &legs)).flatten()
                });
                scorer.gathering(step, sides, runs)
            } else {
                step
            };
            let score = scorer.combine(&parts, &step);
            if score < best || (score == best && part != 0 && one.comes_before(part)) {
                best = score;
                part = one;
            }
        }
        if part != 0 {
            sets.scores[place] = best;
            sets.parts[place] = part;
        }
    }
    let found = sets.scores[full as usize] <= upper;
    (found.then(|| joins(&sets.parts, problem.operands(), full)), work)
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
