//! Parts of a problem that can be searched apart from the rest without losing the best tree.
//!
//! In come [`Terms`]; out go the connected parts that end as scalars, and what is left with one scalar in their place.
//!
//! # Why no tree is lost
//!
//! Where no extent is below 2 and nothing broadcasts, and scores add up, the best tree of all contracts each part that ends
//! as a scalar by itself, multiplies these scalars, and takes their product for one more operand of the rest:
//!
//! - Any tree, cut down to one part, is a tree of that part. A step that joins something in several parts multiplies, and
//!   writes, the product of what it does in each. These are numbers from 2 on, and their product is no less than their
//!   sum; but a part that ends there writes one element.
//! - For `k` parts there are `k - 1` steps that join nothing within a part, and one more for each part beyond the first in
//!   every step that joins in several. The ones more make up for the elements that parts write as they end there.
//! - So a tree scores at least what those of the parts score, and `k - 1` products of scalars. Of a rest that is no
//!   scalar, a value has two elements at least, and the step in which it meets the first of the scalars counts as
//!   theirs.

use super::scored::Scoring;
use super::scorer::Combining;
use super::terms::Terms;

/// Parts that are searched apart.
#[derive(Debug)]
pub(super) struct Apart {
    /// The operands of each part that ends as a scalar.
    pub(super) scalars: Vec<Vec<usize>>,
    /// The operands of the rest.
    pub(super) rest: Vec<usize>,
}

impl Apart {
    /// The parts of a problem; none where it is best left whole.
    pub(super) fn of(scoring: Scoring<'_>) -> Option<Self> {
        let Scoring { terms, scorer } = scoring;
        let is_plain = terms.operands.iter().flatten().all(|leg| leg.wide) && !terms.has_zero();
        // What is proved of parts counts multiplications or elements, and no times.
        if !is_plain || scorer.combining() == Combining::Max || scorer.reads_layouts() {
            return None;
        }
        let (scalars, rest): (Vec<_>, Vec<_>) =
            terms.parts().into_iter().partition(|part| terms.result(part).is_empty());
        let mut rest = rest.concat();
        rest.sort_unstable();
        // One part is the whole; a scalar that stands alone is what the rest would be left with.
        let is_whole = match scalars.as_slice() {
            [] => true,
            [part] => rest.is_empty() || part.len() == 1,
            _ => false,
        };
        (!is_whole).then_some(Self { scalars, rest })
    }

    /// The rest with a scalar for the other parts, which is its last operand; none where there is no rest.
    pub(super) fn rest_with_scalar(&self, terms: &Terms) -> Option<Terms> {
        let mut rest = (!self.rest.is_empty()).then(|| terms.part(&self.rest))?;
        rest.operands.push(Vec::new());
        rest.layouts.push(Vec::new());
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::Objective;
    use crate::path::scorer::Scorer;

    #[test]
    fn what_ends_as_scalars_is_apart() {
        let apart = |text, sizes, objective| {
            let terms = Terms::new(&graph(text, sizes));
            let apart = Apart::of(Scoring { terms: &terms, scorer: Scorer::of(objective) })?;
            Some((
                apart.scalars.clone(),
                apart.rest.clone(),
                apart.rest_with_scalar(&terms).map(|it| it.operands.len()),
            ))
        };
        let found = apart("a,b,,a,bc,->c", "", Objective::Mul).unwrap();
        assert_eq!(found, (vec![vec![0, 3], vec![2], vec![5]], vec![1, 4], Some(3)));
        assert_eq!(apart("a,a,b,b->", "", Objective::Write).unwrap().2, None);
        for (text, sizes) in [("a,a->", ""), ("a,ab,->b", ""), ("a,b->ab", ""), ("a,a,b,b->", "a=0")] {
            assert!(apart(text, sizes, Objective::Mul).is_none(), "{text}");
        }
        assert!(apart("a,a,b,b->", "", Objective::Size).is_none());
    }
}
