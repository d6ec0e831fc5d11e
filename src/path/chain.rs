//! Chains and rings of matrices: the best of all trees, in polynomial time.
//!
//! In come [`Terms`] and an objective; out go the joins of the best tree, where the operands stand in a row, each sharing
//! labels with the one before it and the one after it and with no other, or in a ring. Labels that all operands and
//! the output have change nothing. Other operands are not for this file.
//!
//! # Why intervals are enough
//!
//! Only those trees are looked at whose results are intervals of the row. Every other tree scores more, by each of the
//! objectives, as long as no extent is below 2:
//!
//! - A result is made of runs: the longest intervals in it. A tree of it, cut down to one run, is a tree of that run,
//!   and none of its steps costs more than before. A step of several runs costs the product of what it costs in each,
//!   and a product of numbers from 2 on is no less than their sum. So a result costs at least what its runs cost apart.
//! - Beyond that, a result of several runs costs more than the least of its runs has elements, in multiplications, and
//!   more elements than all of its runs but the least have, in what is written. Both follow step by step: a step that
//!   takes a run as it is multiplies by its elements, and one that divides every run has two sides of several runs.
//! - Let the last step join two sides that take turns in more than two runs. Join these runs as a fan instead: the
//!   smallest label between runs stays to the last. This multiplies and writes less than the last step together with
//!   what the sides cost beyond their runs, and no result is larger than the larger side was.
//!
//! This needs that a label ends where two neighbours meet: a label of the output in the middle of the row, or a vector on
//! it, makes outer products worth while.
//!
//! Since other trees score more, the choice among equals is that of [`optimal`](super::optimal) over all trees.

use super::intervals::{Intervals, Row, Shape};
use super::number::Number;
use super::scorer::Scorer;
use super::terms::Terms;
use super::watch::Watch;
use crate::path::{Cost, Objective};

/// The joins of the best tree of a chain or ring; none of other operands, and where it would take more than `work`.
pub(super) fn chain(terms: &Terms, scorer: Scorer<'_>, work: &mut u64, watch: Watch<'_>) -> Option<Vec<[usize; 2]>> {
    if scorer.reads_layouts() {
        // What is proved of intervals is proved of multiplications and elements, and not of times.
        return None;
    }
    let chain = Chain::of(terms)?;
    let bound = chain.bound(scorer);
    // Numbers hold the sum of two bounds. A unit of work is a few steps of short ones.
    match bound.bits() {
        ..=62 => chain.solve::<u64>(1, scorer, &bound, work, watch),
        63..=126 => chain.solve::<u128>(4, scorer, &bound, work, watch),
        _ => chain.solve::<Cost>(40, scorer, &bound, work, watch),
    }
}

/// Operands in a row.
#[derive(Debug)]
struct Chain {
    shape: Shape,
    /// The operands as they stand.
    order: Vec<usize>,
    /// What each shares with the one before it, and then the last with what comes after it.
    sizes: Vec<Cost>,
    /// The elements of the labels that all operands and the output have.
    batch: Cost,
}

/// Two neighbours at most, and the size of what is shared with each.
type Neighbours = [Option<(usize, Cost)>; 2];

impl Chain {
    /// The operands in a row, if they are a chain or a ring of three or more.
    fn of(terms: &Terms) -> Option<Self> {
        let operands = terms.operands.len();
        if operands < 3 {
            return None;
        }
        let mut batch = Cost::ONE;
        let mut own = vec![Cost::ONE; operands];
        let mut neighbours: Vec<Neighbours> = vec![[None, None]; operands];
        let mut first: Vec<Option<usize>> = vec![None; terms.extents.len()];
        for (operand, legs) in terms.operands.iter().enumerate() {
            for leg in legs {
                let label = leg.label as usize;
                let size = Cost::from(terms.extents[label]);
                if !leg.wide || terms.extents[label] < 2 {
                    return None;
                }
                match (terms.kept[label], terms.holders[label] as usize) {
                    (true, holders) if holders == operands => {
                        if operand == 0 {
                            batch = &batch * &size;
                        }
                    }
                    (true, 1) => own[operand] = &own[operand] * &size,
                    (false, 2) => {
                        if let Some(other) = first[label].replace(operand) {
                            meet(&mut neighbours[operand], other, &size)?;
                            meet(&mut neighbours[other], operand, &size)?;
                        }
                    }
                    _ => return None,
                }
            }
        }
        Self::walk(&own, &neighbours, batch)
    }

    /// Walks from the first end to the other, or from the first operand around the ring.
    fn walk(own: &[Cost], neighbours: &[Neighbours], batch: Cost) -> Option<Self> {
        let is_end = |operand: usize| neighbours[operand][1].is_none();
        let end = (0..own.len()).find(|&operand| is_end(operand));
        let shape = if end.is_some() { Shape::Chain } else { Shape::Ring };
        let start = end.unwrap_or(0);
        let mut order = vec![start];
        let mut sizes = vec![own[start].clone()];
        let (mut before, mut here) = (None, start);
        while let Some((next, size)) = neighbours[here].iter().flatten().find(|(next, _)| Some(*next) != before) {
            sizes.push(size.clone());
            if *next == start {
                sizes[0] = size.clone();
                break;
            }
            order.push(*next);
            (before, here) = (Some(here), *next);
        }
        if shape == Shape::Chain {
            sizes.push(own[here].clone());
        }
        // Labels of the output may stand at the ends alone, and all operands must have been met.
        let middle = order.iter().filter(|&&operand| shape == Shape::Ring || !is_end(operand));
        let is_plain = middle.into_iter().all(|&operand| own[operand] == Cost::ONE);
        (is_plain && order.len() == own.len()).then_some(Self { shape, order, sizes, batch })
    }

    /// More than any tree of intervals scores.
    fn bound(&self, scorer: Scorer<'_>) -> Cost {
        let mut largest = self.sizes.clone();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let step = largest.iter().take(3).fold(self.batch.clone(), |product, size| &product * size);
        &Scorer { objective: Objective::Combo, ..scorer }.at_least(&step, &step) * &Cost::from(self.order.len())
    }

    /// The joins of the best tree; a step takes so many quarters of a unit of work.
    fn solve<N: Number>(
        &self,
        quarters: u64,
        scorer: Scorer<'_>,
        bound: &Cost,
        work: &mut u64,
        watch: Watch<'_>,
    ) -> Option<Vec<[usize; 2]>> {
        let tables = if scorer.objective == Objective::Size { 2 } else { 1 };
        let steps = self.shape.splits(self.order.len()).saturating_mul(tables);
        *work = work.checked_sub(steps.saturating_mul(quarters) / 4)?;
        let sizes = self.sizes.iter().map(N::from_cost).collect();
        let row = Row::new(self.shape, &self.order, sizes, N::from_cost(&self.batch));
        let above = N::from_cost(bound);
        if scorer.objective != Objective::Size {
            return Some(Intervals::new(&row, scorer, &above, None, watch)?.joins());
        }
        let largest = Intervals::new(&row, scorer, &above, None, watch)?.least();
        Some(
            Intervals::new(&row, Scorer { objective: Objective::Mul, ..scorer }, &above, Some(&largest), watch)?
                .joins(),
        )
    }
}

/// Notes a neighbour and a label shared with it; none where it is the third.
fn meet(neighbours: &mut Neighbours, other: usize, size: &Cost) -> Option<()> {
    for place in neighbours {
        match place {
            Some((known, shared)) if *known == other => {
                *shared = &*shared * size;
                return Some(());
            }
            Some(_) => {}
            None => {
                *place = Some((other, size.clone()));
                return Some(());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::optimal::{Proof, Question, Trees, optimal};
    use crate::path::random::Random;
    use crate::path::tree::canonical;

    fn solved(terms: &Terms, scorer: Scorer<'_>) -> Option<Vec<[usize; 2]>> {
        chain(terms, scorer, &mut u64::MAX.clone(), Watch::default()).map(|joins| canonical(&joins))
    }

    #[test]
    fn chains_and_rings_are_told_from_others() {
        let cases = [
            ("ab,bc,cd->ad", "", true),
            ("cd,ab,bc->", "", true),
            ("bc,xab,cdy->xady", "", true),
            ("zab,zbc,zcd->zad", "", true),
            ("abx,bc,cdx->", "", true),
            ("ab,bc,cd,da->", "", true),
            ("abx,bxc,cd->ad", "", true),
            ("ab,bc->ac", "", false),
            ("ab,bcy,cd->ayd", "", false),
            ("ab,bc,c,cd->ad", "", false),
            ("ab,bc,cd->abd", "", false),
            ("ab,ac,ad->bcd", "", false),
            ("ab,bc,de,ef->acdf", "", false),
            ("ab,bc,cd,da,ef,fg,ge->", "", false),
            ("ab,bc,cd,x->adx", "", false),
            ("ab,bc,cd->ad", "c=0", false),
            ("ab,bc,cd->ad", "c=1", false),
        ];
        for (text, sizes, expected) in cases {
            assert_eq!(Chain::of(&Terms::new(&graph(text, sizes))).is_some(), expected, "{text} {sizes}");
        }
    }

    /// A chain or a ring of random extents, its operands in a random order.
    fn random_terms(random: &mut Random, operands: usize) -> Terms {
        let label = |at: usize| char::from_u32(0x4e00 + at as u32).unwrap();
        let is_ring = random.below(3) == 0;
        let batch = if random.below(4) == 0 { "z" } else { "" };
        let mut rows: Vec<String> = (0..operands)
            .map(|at| format!("{batch}{}{}", label(at), label(if is_ring { (at + 1) % operands } else { at + 1 })))
            .collect();
        if random.below(2) == 0 {
            for at in (1..operands).rev() {
                rows.swap(at, random.below(at + 1));
            }
        }
        let mut output = batch.to_owned();
        for end in [0, operands] {
            if !is_ring && random.below(3) > 0 {
                output.push(label(end));
            }
        }
        // Few different extents give many trees that score alike.
        let most = [1, 2, 4, 30][random.below(4)];
        let sizes: Vec<String> = (0..=operands).map(|at| format!("{}={}", label(at), 2 + random.below(most))).collect();
        Terms::new(&graph(&format!("{}->{output}", rows.join(",")), &sizes.join(" ")))
    }

    #[test]
    fn the_tree_is_that_of_the_search_over_all_trees() {
        let mut random = Random::new(5, 0);
        for round in 0..300 {
            let operands = 3 + random.below(7);
            let terms = random_terms(&mut random, operands);
            let watch = Watch::default();
            let ask = |scorer, upper: &Cost, largest: Option<&Cost>| {
                let question = Question { terms: &terms, scorer, trees: Trees::All, upper, largest, watch };
                let answer = optimal(question, &mut u64::MAX.clone()).unwrap();
                assert_eq!(answer.proof, Proof::Complete);
                canonical(&answer.joins.unwrap())
            };
            let upper = Cost::power_of_two(60);
            for scorer in Scorer::all().filter(|scorer| !scorer.reads_layouts()) {
                let mut expected = ask(scorer, &upper, None);
                let largest = terms.cost(&expected).largest;
                if scorer.objective == Objective::Size {
                    expected = ask(Scorer::of(Objective::Mul), &upper, Some(&largest));
                }
                assert_eq!(solved(&terms, scorer).unwrap(), expected, "{round} {} {terms:?}", scorer.objective);
            }
        }
    }

    #[test]
    fn long_numbers_find_what_short_ones_do() {
        let sizes = "a=7 b=2 c=9 d=3 e=3 f=8 g=4";
        for text in ["ab,bc,cd,de,ef,fg->ag", "ab,bc,cd,de,ef,fg,ga->"] {
            let chain = Chain::of(&Terms::new(&graph(text, sizes))).unwrap();
            let (bound, watch) = (chain.bound(Scorer::of(Objective::Mul)), Watch::default());
            for scorer in Scorer::all().filter(|scorer| !scorer.reads_layouts()) {
                let short = chain.solve::<u64>(1, scorer, &bound, &mut 1000, watch).unwrap();
                assert_eq!(chain.solve::<u128>(1, scorer, &bound, &mut 1000, watch).unwrap(), short);
                assert_eq!(chain.solve::<Cost>(1, scorer, &bound, &mut 1000, watch).unwrap(), short);
            }
        }
    }

    #[test]
    fn what_takes_too_much_work_is_left() {
        let terms = Terms::new(&graph("ab,bc,cd,de,ef,fg,gh->ah", ""));
        assert!(chain(&terms, Scorer::of(Objective::Mul), &mut 5, Watch::default()).is_none());
        let mut work = 100;
        assert!(chain(&terms, Scorer::of(Objective::Mul), &mut work, Watch::default()).is_some() && work < 100);
    }
}
