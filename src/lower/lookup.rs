//! Where labels stand in a value, and each of several once, also where there are thousands.
//!
//! A value of a contraction that can be run has few labels, which are looked at one after the other. One of a network that can
//! only be planned may have thousands, and a look at all of them for each would take longer than the search.

use crate::equation::{Label, Subscript};

/// So many labels are looked at faster than they are sorted.
const FEW: usize = 32;

/// The places of labels in a list.
pub(super) enum Lookup<'l> {
    /// The list itself.
    Few(&'l [Label]),
    /// Each place, by label and then as they rise.
    Many(Vec<(Label, usize)>),
}

impl<'l> Lookup<'l> {
    pub(super) fn new(labels: &'l [Label]) -> Self {
        if labels.len() <= FEW {
            return Self::Few(labels);
        }
        let mut places: Vec<(Label, usize)> = labels.iter().copied().zip(0..).collect();
        places.sort_unstable();
        Self::Many(places)
    }

    /// The first place of a label.
    pub(super) fn first(&self, label: Label) -> Option<usize> {
        match self {
            Self::Few(labels) => labels.iter().position(|&each| each == label),
            Self::Many(places) => {
                let at = places.partition_point(|&(each, _)| each < label);
                places.get(at).filter(|(each, _)| *each == label).map(|&(_, place)| place)
            }
        }
    }

    pub(super) fn contains(&self, label: Label) -> bool {
        self.first(label).is_some()
    }

    /// How often a label stands in the list.
    pub(super) fn count(&self, label: Label) -> usize {
        match self {
            Self::Few(labels) => labels.iter().filter(|&&each| each == label).count(),
            Self::Many(places) => {
                places.partition_point(|&(each, _)| each <= label) - places.partition_point(|&(each, _)| each < label)
            }
        }
    }
}

/// Each label once, in order of first appearance.
pub(super) fn distinct(labels: &[Label]) -> Subscript {
    match Lookup::new(labels) {
        Lookup::Few(labels) => {
            let first = |&(at, label): &(usize, &Label)| !labels[..at].contains(label);
            labels.iter().enumerate().filter(first).map(|(_, &label)| label).collect()
        }
        Lookup::Many(mut places) => {
            // The first place of each is the first of its run.
            places.dedup_by_key(|&mut (label, _)| label);
            places.sort_unstable_by_key(|&(_, place)| place);
            places.into_iter().map(|(label, _)| label).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QEinsum;

    /// Labels of an equation, each at some places.
    fn labels(count: usize, of: usize) -> Vec<Label> {
        let names: Vec<String> = (0..of).map(|number| format!("n{number}")).collect();
        let equation = QEinsum::named(&format!("{} ->", names.join(" "))).unwrap().equation(&[of]).unwrap();
        let all: Vec<Label> = equation.labels().collect();
        (0..count).map(|at| all[at * at * 7 % of]).collect()
    }

    #[test]
    fn many_labels_are_found_where_few_are() {
        for (count, of) in [(0, 1), (1, 1), (FEW, 5), (FEW + 1, 5), (FEW + 1, 100), (500, 300), (500, 2)] {
            let labels = labels(count, of);
            let (few, many) = (Lookup::Few(&labels), Lookup::new(&labels));
            for &label in &labels {
                assert_eq!((many.first(label), many.count(label)), (few.first(label), few.count(label)));
                assert!(many.contains(label));
            }
            let mut once: Vec<Label> = Vec::new();
            for label in &labels {
                if !once.contains(label) {
                    once.push(*label);
                }
            }
            assert_eq!(distinct(&labels).to_vec(), once);
        }
        let all = labels(3, 3);
        let absent = Lookup::new(&all[..1]).first(all[1]);
        assert_eq!(absent, None);
    }
}
