//! Trees with their exact cost.
//!
//! In come joins; out go the steps of their tree in canonical order, what they cost and how that scores.

use super::scorer::Scorer;
use super::terms::Terms;
use super::tree::canonical;
use crate::path::{Certificate, Cost, Ended, Found, Objective, Path, PathCost};

/// A tree as steps, with its cost and score.
#[derive(Clone, Debug)]
pub(super) struct ScoredTree {
    pub(super) steps: Vec<[usize; 2]>,
    pub(super) cost: PathCost,
    pub(super) score: Cost,
}

impl ScoredTree {
    pub(super) fn found(self, objective: Objective, certificate: Certificate) -> Found {
        let path = Path::from_ssa(&self.steps).unwrap_or_else(|error| unreachable!("a tree is a path: {error:?}"));
        Found {
            path,
            objective,
            cost: self.cost,
            certificate,
            ended: Ended::Work,
            slices: Vec::new(),
            leading: Vec::new(),
        }
    }

    /// The tree that scores less; this one, where both score the same.
    pub(super) fn or_better(self, other: Self) -> Self {
        if other.score < self.score { other } else { self }
    }
}

/// What trees are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scoring<'a> {
    pub(super) terms: &'a Terms,
    pub(super) scorer: Scorer<'a>,
}

impl Scoring<'_> {
    /// The tree of these joins, its steps in canonical order.
    pub(super) fn tree(&self, joins: &[[usize; 2]]) -> ScoredTree {
        self.as_made(canonical(joins))
    }

    /// A tree whose steps stay in the order in which they are given.
    pub(super) fn as_made(&self, steps: Vec<[usize; 2]>) -> ScoredTree {
        let cost = self.terms.cost(&steps);
        let score = self.scorer.tree(self.terms, &cost, &steps);
        ScoredTree { steps, cost, score }
    }
}
