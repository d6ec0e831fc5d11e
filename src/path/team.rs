//! A search that several ranks do together, and what each of them has found.
//!
//! The ranks search the same at the same time. Where a search has several things to do that do not depend on each other, each
//! rank does some of them and is told of the others, so that all go on with the same, which is what one alone would have.

use std::cell::OnceCell;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::ranks::Communicator;

/// Those who search together, as one of them sees them; one alone by default.
#[derive(Default)]
pub(crate) struct Team<'a> {
    ranks: Option<&'a dyn Communicator>,
    /// Why this rank was left alone.
    lost: OnceCell<Error>,
}

impl<'a> Team<'a> {
    /// All ranks, each of which searches the same, for a time that is no matter of a clock.
    pub(crate) fn of(ranks: &'a dyn Communicator) -> Self {
        Self { ranks: Some(ranks), lost: OnceCell::new() }
    }

    /// What jobs with these numbers find, in their order, each done by one of the ranks on any of its threads.
    ///
    /// A rank that has lost the others does everything itself; [`check`](Self::check) says so in the end.
    pub(super) fn share(&self, jobs: usize, job: impl Fn(usize) -> Vec<u64> + Sync) -> Vec<Vec<u64>> {
        let all = |first: usize, by: usize| -> Vec<Vec<u64>> {
            (first..jobs).into_par_iter().step_by(by).map(&job).collect()
        };
        let Some(ranks) = self.ranks.filter(|ranks| ranks.size() > 1 && jobs > 1 && self.lost.get().is_none()) else {
            return all(0, 1);
        };
        let own = all(ranks.rank(), ranks.size());
        match told(ranks, &own, jobs) {
            Ok(found) => found,
            Err(error) => {
                let _ = self.lost.set(error);
                all(0, 1)
            }
        }
    }

    /// An error where the ranks have lost each other.
    pub(super) fn check(&self) -> Result<()> {
        self.lost.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

/// What every rank has found, after each has told the others what it has itself: the lengths, and then what is that long.
fn told(ranks: &dyn Communicator, own: &[Vec<u64>], jobs: usize) -> Result<Vec<Vec<u64>>> {
    let words = own.iter().flat_map(|found| std::iter::once(found.len() as u64).chain(found.iter().copied()));
    let all = ranks.gather(words.flat_map(u64::to_le_bytes).collect())?;
    let mut all: Vec<_> =
        all.iter().map(|bytes| bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))).collect();
    Ok((0..jobs)
        .map(|job| {
            let words = &mut all[job % ranks.size()];
            let length = words.next().unwrap_or_default();
            words.by_ref().take(length as usize).collect()
        })
        .collect())
}

/// Joins in words, as ranks tell them.
pub(super) fn words_of(joins: &[[usize; 2]]) -> Vec<u64> {
    joins.as_flattened().iter().map(|&operand| operand as u64).collect()
}

/// The joins that words tell of.
pub(super) fn joins_of(words: &[u64]) -> Vec<[usize; 2]> {
    words.as_chunks().0.iter().map(|pair: &[u64; 2]| pair.map(|operand| operand as usize)).collect()
}
