//! The best trees of all intervals of operands in a row.
//!
//! In come the sizes between the operands and an objective; out goes the tree of least score whose results are intervals, and
//! among equals the one that joins earlier operands first, as [`optimal`](super::optimal) says.

use super::number::Number;
use super::scorer::{Combining, Scorer};
use super::watch::Watch;

/// How operands stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Chain,
    /// The last shares labels with the first.
    Ring,
}

impl Shape {
    /// In how many ways all intervals together are split in two.
    pub(super) fn splits(self, operands: usize) -> u64 {
        let cube = (operands as u64).saturating_mul(operands as u64).saturating_mul(operands as u64);
        match self {
            Self::Chain => cube / 6,
            Self::Ring => cube / 2,
        }
    }
}

/// Operands in a row, that of a ring written twice.
#[derive(Debug)]
pub(super) struct Row<N> {
    shape: Shape,
    operands: usize,
    order: Vec<usize>,
    /// The size before each operand and after the last.
    sizes: Vec<N>,
    batch: N,
}

impl<N: Number> Row<N> {
    /// Operands in this order, with the sizes before them and after the last; all values have `batch` elements beside.
    pub(super) fn new(shape: Shape, order: &[usize], mut sizes: Vec<N>, batch: N) -> Self {
        let operands = order.len();
        let mut order = order.to_vec();
        if shape == Shape::Ring {
            order.extend_from_within(..);
            sizes.extend_from_within(1..);
        }
        Self { shape, operands, order, sizes, batch }
    }

    /// How many operands an interval of the table has at most.
    fn longest(&self) -> usize {
        match self.shape {
            Shape::Chain => self.operands,
            Shape::Ring => self.operands - 1,
        }
    }

    /// Where intervals of so many operands start.
    fn starts(&self, length: usize) -> usize {
        match self.shape {
            Shape::Chain => self.operands - length + 1,
            Shape::Ring => self.operands,
        }
    }

    /// The places between operands.
    fn places(&self) -> usize {
        match self.shape {
            Shape::Chain => self.operands + 1,
            Shape::Ring => self.operands,
        }
    }

    /// The elements of the labels at two places.
    fn ends(&self, one: usize, other: usize) -> N {
        self.batch.times(&self.sizes[one]).times(&self.sizes[other])
    }
}

/// A part of the row: where it starts, and how many operands it has.
type Interval = (usize, usize);

/// The scores of all intervals.
#[derive(Debug)]
pub(super) struct Intervals<'a, N> {
    row: &'a Row<N>,
    scorer: Scorer<'a>,
    /// By place, the intervals that start there by their length, and those that end there by what they lack of the
    /// longest: the two sides of all splits of an interval then lie in rising order.
    starting: Vec<N>,
    ending: Vec<N>,
}

impl<'a, N: Number> Intervals<'a, N> {
    /// Scores all intervals; none where the watch says that it is over.
    ///
    /// No tree scores `above`; results of more elements than `largest` are not made.
    pub(super) fn new(
        row: &'a Row<N>,
        scorer: Scorer<'a>,
        above: &N,
        largest: Option<&N>,
        watch: Watch<'_>,
    ) -> Option<Self> {
        let stride = row.longest() + 1;
        let table = vec![N::ZERO; row.places() * stride];
        let mut intervals = Self { row, scorer, starting: table.clone(), ending: table };
        for length in 2..=row.longest() {
            if watch.is_over() {
                return None;
            }
            for start in 0..row.starts(length) {
                let elements = row.ends(start, start + length);
                let score = if largest.is_some_and(|largest| elements > *largest) {
                    above.clone()
                } else {
                    let least = intervals.splits((start, length)).min().unwrap_or(N::ZERO);
                    scorer.combine(&least, &scorer.at_least(&N::ZERO, &elements))
                };
                let end = (start + length) % row.places();
                intervals.ending[end * stride + row.longest() - length] = score.clone();
                intervals.starting[start * stride + length] = score;
            }
        }
        Some(intervals)
    }

    /// The score of the best tree.
    pub(super) fn least(&self) -> N {
        match self.row.shape {
            Shape::Chain => self.score((0, self.row.operands)).clone(),
            Shape::Ring => self.halves().map(|(_, _, score)| score).min().unwrap_or(N::ZERO),
        }
    }

    fn score(&self, (start, length): Interval) -> &N {
        &self.starting[start % self.row.places() * (self.row.longest() + 1) + length]
    }

    /// The scores of the ways to split an interval, by the length of the first part, without what the result adds.
    fn splits(&self, (start, length): Interval) -> impl Iterator<Item = N> {
        let stride = self.row.longest() + 1;
        let end = (start + length) % self.row.places();
        let firsts = &self.starting[start % self.row.places() * stride..][1..length];
        let seconds = &self.ending[end * stride..][stride - length..stride - 1];
        let sizes = &self.row.sizes[start + 1..start + length];
        let scorer = self.scorer;
        let ends = if scorer.multiplies() { self.row.ends(start, start + length) } else { N::ZERO };
        firsts.iter().zip(seconds).zip(sizes).map(move |((first, second), size)| match scorer.combining() {
            Combining::Sum => first.plus(second).plus(&ends.times(size)),
            Combining::Max => first.max(second).clone(),
        })
    }

    /// The ways to split a ring in two: at which places, and the score.
    fn halves(&self) -> impl Iterator<Item = (usize, usize, N)> {
        let operands = self.row.operands;
        (0..operands).flat_map(move |one| (one + 1..operands).map(move |other| (one, other))).map(
            move |(one, other)| {
                let sides = [(one, other - one), (other, operands - (other - one))].map(|side| self.score(side));
                let step = self.scorer.at_least(&self.row.ends(one, other), &self.row.batch);
                (one, other, self.scorer.combine(&self.scorer.combine(sides[0], sides[1]), &step))
            },
        )
    }

    /// The joins of the best tree, in ids that are never reused. For objectives that add up.
    pub(super) fn joins(&self) -> Vec<[usize; 2]> {
        let operands = self.row.operands;
        let last = 2 * operands - 2;
        // Intervals come before their parts here, and after them in the joins.
        let mut made: Vec<Interval> = Vec::with_capacity(operands - 1);
        let mut joins = Vec::with_capacity(operands - 1);
        let mut next = match self.row.shape {
            Shape::Chain => {
                let whole = (0, operands);
                made.push(whole);
                self.best_split(whole)
            }
            Shape::Ring => {
                made.push((0, operands));
                self.best_halves()
            }
        };
        loop {
            joins.push(next.map(|(start, length)| {
                if length == 1 {
                    return self.row.order[start];
                }
                made.push((start, length));
                last + 1 - made.len()
            }));
            let Some(&interval) = made.get(joins.len()) else { break };
            next = self.best_split(interval);
        }
        joins.reverse();
        joins
    }

    /// The two parts of an interval that has more than one operand.
    fn best_split(&self, (start, length): Interval) -> [Interval; 2] {
        let least = self.splits((start, length)).min().unwrap_or(N::ZERO);
        let order = &self.row.order[start..start + length];
        let first = order.iter().enumerate().min_by_key(|(_, operand)| **operand).map_or(0, |(place, _)| place);
        // Of parts with the first operand, a larger one has more; so these are the best of each side.
        let (mut left, mut right) = (None, None);
        for (place, score) in self.splits((start, length)).enumerate() {
            let split = place + 1;
            if score == least && split > first {
                left = Some(split);
            } else if score == least && right.is_none() {
                right = Some(split);
            }
        }
        let split = match (left, right) {
            (Some(left), Some(right)) => {
                if before(&order[..right], &order[left..]) {
                    left
                } else {
                    right
                }
            }
            (left, right) => left.or(right).unwrap_or(1),
        };
        [(start, split), (start + split, length - split)]
    }

    /// The two parts of a ring.
    fn best_halves(&self) -> [Interval; 2] {
        let least = self.least();
        let operands = self.row.operands;
        let order = &self.row.order[..operands];
        // The first operand is first in a ring's row, so the part that has it is all but a stretch of the row.
        let mut best: Option<(usize, usize)> = None;
        let mut looked_at = 0;
        for (one, other, score) in self.halves() {
            // Of stretches that start at one place, the shortest leaves the most.
            if score != least || (one > 0 && one == looked_at) {
                continue;
            }
            looked_at = one;
            let stretch = if one == 0 { (other, operands) } else { (one, other) };
            if best.is_none_or(|best| before_without(order, stretch, best)) {
                best = Some(stretch);
            }
        }
        let (start, end) = best.unwrap_or((1, operands));
        [(start, end - start), (end, operands - (end - start))]
    }
}

/// Whether the first of all operands is among these.
fn before(these: &[usize], others: &[usize]) -> bool {
    match (these.iter().min(), others.iter().min()) {
        (Some(these), Some(others)) => these < others,
        (these, None) => these.is_some(),
        (None, Some(_)) => false,
    }
}

/// Whether a row without one stretch has the first operand that only one of the two has, beside the row without another.
fn before_without(order: &[usize], one: (usize, usize), other: (usize, usize)) -> bool {
    // What a stretch lacks of the other one, before and after it: all of it where they do not meet.
    let lacks = |(start, end): (usize, usize), (from, to): (usize, usize)| {
        let parts = [&order[from..to.min(start).max(from)], &order[end.max(from).min(to)..to]];
        parts.into_iter().flatten().min()
    };
    match (lacks(one, other), lacks(other, one)) {
        (Some(these), Some(others)) => these < others,
        (these, None) => these.is_some(),
        (None, Some(_)) => false,
    }
}
