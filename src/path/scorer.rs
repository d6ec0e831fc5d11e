//! What the searches judge steps by: an objective, and for time the speeds of the machine.
//!
//! In come the multiplications of a step and the elements of its sides and of its result; out goes its score and how
//! scores combine. Every score is monotone: a step never lowers that of a tree. The exact search is exact for that
//! reason, and prunes by what a step scores at least.

use super::evaluate::PathCost;
use super::logs::{Log, ONE, Tables};
use super::number::Number;
use super::objective::WRITE_WEIGHT;
use super::speeds::Rates;
use super::terms::Terms;
use crate::path::{Cost, Objective};

/// How the scores of the steps of a tree make its score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Combining {
    Sum,
    Max,
}

/// How steps are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scorer<'a> {
    pub(super) objective: Objective,
    /// Read where the objective is time.
    pub(super) rates: &'a Rates,
}

impl Scorer<'_> {
    pub(super) fn combining(self) -> Combining {
        if self.objective == Objective::Size { Combining::Max } else { Combining::Sum }
    }

    /// Whether the multiplications of a step enter its score.
    pub(super) fn multiplies(self) -> bool {
        matches!(self.objective, Objective::Mul | Objective::Combo | Objective::Time)
    }

    /// Whether multiplications enter the score as they are.
    pub(super) fn counts_multiplications(self) -> bool {
        matches!(self.objective, Objective::Mul | Objective::Combo)
    }

    /// What a multiplication adds to the score of a step at least; zero where it adds none.
    pub(super) fn per_multiplication<N: Number>(self) -> N {
        match self.objective {
            Objective::Mul | Objective::Combo => N::ONE,
            Objective::Size | Objective::Write => N::ZERO,
            Objective::Time => N::saturated(self.rates.least().into()),
        }
    }

    /// The score of one step.
    pub(super) fn step<N: Number>(self, multiplications: &N, sides: [&N; 2], elements: &N) -> N {
        if self.objective != Objective::Time {
            return self.at_least(multiplications, elements);
        }
        if *multiplications == N::ZERO {
            return N::from_log(self.rates.call());
        }
        let [lhs, rhs] = sides.map(Number::log);
        N::from_log(self.rates.time(multiplications.log(), [lhs, rhs], elements.log()))
    }

    /// Whether it matters how the operands lie in memory.
    pub(super) fn reads_layouts(self) -> bool {
        self.objective == Objective::Time
    }

    /// The score of a step some of whose sides are gathered from runs of so many elements beside each other.
    pub(super) fn gathering<N: Number>(self, step: N, sides: [&N; 2], runs: [Option<N>; 2]) -> N {
        sides.into_iter().zip(runs).fold(step, |step, (elements, run)| match run {
            Some(run) if *elements != N::ZERO => {
                step.plus(&N::from_log(elements.log() + self.rates.gathering(run.log())))
            }
            _ => step,
        })
    }

    /// What a step scores at least; exactly that, where the objective is not time.
    pub(super) fn at_least<N: Number>(self, multiplications: &N, elements: &N) -> N {
        match self.objective {
            Objective::Mul => multiplications.clone(),
            Objective::Size | Objective::Write => elements.clone(),
            Objective::Combo => multiplications.plus(&elements.times(&N::saturated(WRITE_WEIGHT as u128))),
            Objective::Time => multiplications.times(&self.per_multiplication()),
        }
    }

    /// The least that the score of a step can be in which an operand of this many elements takes part.
    pub(super) fn consuming<N: Number>(self, elements: &N) -> N {
        elements.times(&self.per_multiplication())
    }

    /// The logarithm of the score of one step, by those of its multiplications and elements.
    pub(super) fn step_log(self, multiplications: Log, sides: impl FnOnce() -> [Log; 2], elements: Log) -> Log {
        match self.objective {
            Objective::Mul => multiplications,
            Objective::Size | Objective::Write => elements,
            Objective::Combo => Tables::get().sum(multiplications, elements + 6 * ONE),
            Objective::Time => self.rates.time(multiplications, sides(), elements),
        }
    }

    /// Two scores of the same tree, together.
    pub(super) fn combine<N: Number>(self, a: &N, b: &N) -> N {
        match self.combining() {
            Combining::Sum => a.plus(b),
            Combining::Max => a.max(b).clone(),
        }
    }

    /// The score of a tree by what it costs and its steps, in ids that are never reused.
    pub(super) fn tree(self, terms: &Terms, cost: &PathCost, steps: &[[usize; 2]]) -> Cost {
        if let Some(score) = self.objective.score(cost) {
            return score;
        }
        let operands = terms.operands.len();
        let values = terms.values(steps);
        let scores = steps.iter().zip(&cost.per_step).enumerate().map(|(number, (&[a, b], step))| {
            let [lhs, rhs] = [a, b].map(|side| terms.elements(&values[side]));
            let runs = [(a, b), (b, a)].map(|(side, other)| {
                let result = &values[operands + number];
                (side < operands).then(|| terms.gathered(side, &values[other], result)).flatten()
            });
            let score = self.step(&step.multiplications, [&lhs, &rhs], &step.elements);
            self.gathering(score, [&lhs, &rhs], runs)
        });
        scores.fold(Cost::ZERO, |total, score| total.plus(&score))
    }
}

#[cfg(test)]
impl Scorer<'static> {
    /// For time, by the shipped speeds of f32.
    pub(super) fn of(objective: Objective) -> Self {
        Self { objective, rates: super::speeds::Speeds::shipped().rates(super::speeds::Arithmetic::F32) }
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        Objective::ALL.into_iter().map(Self::of)
    }
}
