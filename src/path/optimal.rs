//! The exact search: the best tree, and whether it is.
//!
//! In come [`Terms`], an objective and the score of a tree that is known; out goes the best tree, if it is found
//! within the limit of work, or else what no tree scores below. A table of [all sets](super::small) serves for a few
//! operands, [best-first](super::best_first) search for more; both find the same.
//!
//! # Ties
//!
//! Of trees that score alike, the one that joins earlier operands first is chosen, decided from the last step
//! downwards: of two ways to split a set, look at the part that has the set's first operand, and at the first operand
//! that is in this part one way but not the other; the way that has it there wins. So `((1,2),0),3` wins over
//! `((1,2),3),0`. No hash order and no order of discovery takes part in this.

use super::best_first::best_first;
use super::number::Number;
use super::operand_set::MOST_OPERANDS;
use super::problem::Problem;
use super::scorer::Scorer;
use super::small::{FEW_DENSE, serves, small};
use super::terms::Terms;
use super::watch::Watch;
use crate::path::Cost;

/// The trees that a search looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trees {
    /// Those in which the two sides of every step share a label.
    Connected,
    /// All of them.
    All,
}

/// What a search is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) terms: &'a Terms,
    pub(super) scorer: Scorer<'a>,
    pub(super) trees: Trees,
    /// The score of a tree that is known. Trees that score above are not looked for.
    pub(super) upper: &'a Cost,
    /// The elements that no result may exceed, where there is such a limit.
    pub(super) largest: Option<&'a Cost>,
    /// When to end before the work is used up.
    pub(super) watch: Watch<'a>,
}

/// What a search found.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The joins of the best tree found, none where none scores as low as the bound.
    pub(super) joins: Option<Vec<[usize; 2]>>,
    pub(super) proof: Proof,
}

/// Whether a search went to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// No tree of those asked for scores below the answer (without one: below the bound, and none reaches it).
    Complete,
    /// The work ran out. No tree scores below this.
    Cut(Cost),
}

/// Searches until the answer is proved or `work` is used up; `None` for more than 128 operands.
pub(super) fn optimal(question: Question<'_>, work: &mut u64) -> Option<Answer> {
    let operands = question.terms.operands.len();
    let widest = question.largest.map_or(question.upper, |largest| largest.max(question.upper));
    // Saturated numbers must lie above every bound, hence one bit to spare.
    Some(match (operands, widest.bits()) {
        (..=64, ..=63) => few_or_many::<u64>(question, work),
        (..=64, ..=127) => few_or_many::<u128>(question, work),
        (..=FEW_DENSE, _) => few_or_many::<Cost>(question, work),
        (..=MOST_OPERANDS, ..=63) => many::<u64>(question, work),
        (..=MOST_OPERANDS, ..=127) => many::<u128>(question, work),
        (..=MOST_OPERANDS, _) => many::<Cost>(question, work),
        _ => return None,
    })
}

fn few_or_many<N: Number>(question: Question<'_>, work: &mut u64) -> Answer {
    let problem: Problem<u64, N> = Problem::new(question.terms);
    if !serves(&problem, *work) {
        return best_first(question, problem, work);
    }
    let (joins, taken) = small(&question, &problem);
    *work -= taken;
    Answer { joins, proof: Proof::Complete }
}

fn many<N: Number>(question: Question<'_>, work: &mut u64) -> Answer {
    best_first::<u128, N>(question, Problem::new(question.terms), work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::Objective;
    use crate::path::random::Random;
    use crate::path::terms::Leg;
    use crate::path::tree::canonical;

    /// Operands of which each two share a label of this size.
    fn clique(operands: usize, size: usize) -> Terms {
        let label = |a: usize, b: usize| (a.min(b) * operands + a.max(b)) as u32;
        let axes = |operand: usize| {
            let mut legs: Vec<Leg> = (0..operands)
                .filter(|&other| other != operand)
                .map(|other| Leg { label: label(operand, other), wide: true })
                .collect();
            legs.sort_unstable_by_key(|leg| leg.label);
            legs
        };
        let mut terms = Terms {
            operands: (0..operands).map(axes).collect(),
            extents: vec![size; operands * operands],
            kept: vec![false; operands * operands],
            holders: vec![0; operands * operands],
            layouts: vec![Vec::new(); operands],
        };
        for leg in terms.operands.iter().flatten() {
            terms.holders[leg.label as usize] += 1;
        }
        terms
    }

    fn ask(terms: &Terms, trees: Trees, upper: &Cost, work: u64) -> Option<Answer> {
        let question = Question {
            terms,
            scorer: Scorer::of(Objective::Mul),
            trees,
            upper,
            largest: None,
            watch: Watch::default(),
        };
        optimal(question, &mut { work })
    }

    fn mul(terms: &Terms, answer: &Answer) -> Cost {
        terms.cost(&canonical(answer.joins.as_ref().unwrap())).multiplications
    }

    #[test]
    fn narrow_and_wide_numbers_find_the_same() {
        let terms = Terms::new(&graph("ab,bc,cd,da,ac,bd->", "a=3 b=4 c=5 d=6"));
        let least = mul(&terms, &ask(&terms, Trees::All, &Cost::from(100_000_usize), u64::MAX).unwrap());
        for bits in [40, 62, 63, 100, 127, 128, 300] {
            let answer = ask(&terms, Trees::All, &Cost::power_of_two(bits), u64::MAX).unwrap();
            assert_eq!((mul(&terms, &answer), answer.proof), (least.clone(), Proof::Complete), "{bits}");
        }
    }

    #[test]
    fn ties_with_the_bound_are_found_and_nothing_below_the_best_is() {
        let terms = Terms::new(&graph("ab,bc,cd->ad", "a=3 b=4 c=5 d=6"));
        let least = Cost::from(60 + 90_usize);
        let answer = ask(&terms, Trees::All, &least, u64::MAX).unwrap();
        assert_eq!(mul(&terms, &answer), least);
        let answer = ask(&terms, Trees::All, &Cost::from(149_usize), u64::MAX).unwrap();
        assert!(answer.joins.is_none() && answer.proof == Proof::Complete);
    }

    #[test]
    fn the_choice_among_ties_does_not_depend_on_the_bound() {
        let cases = [
            ("ab,bc,cd,de,ef->af", ""),
            ("a,b,c,d,e->abcde", "a=1 c=1"),
            ("ab,bc,cd,da,ac,bd->", ""),
            ("ab,bc,cd,de,ea->", "c=0"),
            ("xa,xb,xc,xd,x->", "x=3"),
        ];
        for (text, sizes) in cases {
            let terms = Terms::new(&graph(text, sizes));
            let loose = ask(&terms, Trees::All, &Cost::from(1_000_000_usize), u64::MAX).unwrap();
            let tight = ask(&terms, Trees::All, &mul(&terms, &loose), u64::MAX).unwrap();
            let steps = |answer: &Answer| canonical(answer.joins.as_ref().unwrap());
            assert_eq!(steps(&loose), steps(&tight), "{text}");
        }
    }

    #[test]
    fn outer_products_are_found_only_where_they_are_looked_for() {
        let terms = Terms::new(&graph("a,b,abx,x->x", "a=2 b=3 x=50"));
        let upper = Cost::from(100_000_usize);
        let [all, connected] =
            [Trees::All, Trees::Connected].map(|trees| mul(&terms, &ask(&terms, trees, &upper, u64::MAX).unwrap()));
        assert_eq!((all, connected), (Cost::from(6 + 300 + 50_usize), Cost::from(300 + 100 + 50_usize)));
    }

    #[test]
    fn the_bound_of_a_search_cut_short_holds() {
        let terms = clique(9, 3);
        let upper = Cost::power_of_two(60);
        let least = mul(&terms, &ask(&terms, Trees::All, &upper, u64::MAX).unwrap());
        let mut last = Cost::ZERO;
        for work in [0, 1_000, 10_000, 30_000, 60_000, 100_000] {
            let answer = ask(&terms, Trees::All, &upper, work).unwrap();
            let Proof::Cut(bound) = answer.proof else { continue };
            assert!(bound >= last && bound <= least, "{work}: {bound} {least}");
            last = bound;
        }
        assert!(last > Cost::ONE, "{last}");
    }

    #[test]
    fn a_table_of_all_sets_finds_what_best_first_search_does() {
        let cases = [
            ("ab,bc,cd,da,ac,bd->", "a=3 b=4 c=5 d=6"),
            ("ab,bc,cd,de,ef->af", ""),
            ("a,b,c,d,e->abcde", "a=1 c=1"),
            ("xa,xb,xc,xd,x->", "x=3"),
            ("abc,cde,efa,bdf,a,x,x->x", "a=2 b=3 x=50"),
        ];
        for (text, sizes) in cases {
            let terms = Terms::new(&graph(text, sizes));
            for (scorer, trees) in Scorer::all().flat_map(|it| [(it, Trees::All), (it, Trees::Connected)]) {
                let (upper, watch) = (&Cost::from(10_000_000_000_000_usize), Watch::default());
                let question = Question { terms: &terms, scorer, trees, upper, largest: None, watch };
                let problem: Problem<u64, u64> = Problem::new(&terms);
                let table = small(&question, &problem).0.map(|joins| canonical(&joins));
                let other = best_first(question, problem, &mut u64::MAX.clone()).joins.map(|joins| canonical(&joins));
                assert_eq!(table, other, "{text} {} {trees:?}", scorer.objective);
            }
        }
    }

    #[test]
    fn a_table_stays_exact_where_products_leave_the_range_of_numbers() {
        let mut random = Random::new(3, 0);
        for _ in 0..200 {
            let operands = 3 + random.below(5);
            let mut terms = clique(operands, 2);
            // A bit of all sizes: some sets saturate 64 bits, and some leave the range of floating point.
            let most = [8, 30, 1000][random.below(3)];
            terms.extents.iter_mut().for_each(|extent| *extent = 1 << random.below(most).min(1 + random.below(60)));
            for legs in &mut terms.operands {
                legs.retain(|leg| leg.label % 3 != 0 || terms.extents[leg.label as usize] > 8);
            }
            let first: Vec<[usize; 2]> =
                (1..operands).map(|k| if k == 1 { [0, 1] } else { [k, operands + k - 2] }).collect();
            let upper = terms.cost(&first).multiplications;
            let by_search = |work| ask(&terms, Trees::All, &upper, work).unwrap();
            let (watch, scorer) = (Watch::default(), Scorer::of(Objective::Mul));
            let question = Question { terms: &terms, scorer, trees: Trees::All, upper: &upper, largest: None, watch };
            let other = best_first::<u64, Cost>(question, Problem::new(&terms), &mut u64::MAX.clone());
            let steps = |answer: Answer| canonical(&answer.joins.unwrap());
            assert_eq!(steps(by_search(u64::MAX)), steps(other), "{terms:?}");
        }
    }

    #[test]
    fn hundreds_of_labels_are_no_trouble() {
        // 136 labels, no two of them in the same operands.
        let terms = clique(17, 2);
        let upper = terms.cost(&(1..17).map(|k| if k == 1 { [0, 1] } else { [k, 15 + k] }).collect::<Vec<_>>());
        let answer = ask(&terms, Trees::All, &upper.multiplications, 1 << 22).unwrap();
        match answer.proof {
            Proof::Complete => assert!(mul(&terms, &answer) <= upper.multiplications),
            Proof::Cut(bound) => assert!(bound <= upper.multiplications),
        }
    }

    #[test]
    fn more_than_a_set_holds_is_not_searched() {
        let terms = |operands| Terms {
            operands: vec![Vec::new(); operands],
            extents: Vec::new(),
            kept: Vec::new(),
            holders: Vec::new(),
            layouts: Vec::new(),
        };
        let upper = Cost::from(1000_usize);
        assert!(ask(&terms(129), Trees::All, &upper, 10).is_none());
        assert!(ask(&terms(128), Trees::All, &upper, 10).is_some());
    }
}
