//! The choice of a member: each one's cost at the sizes, and the least of them.

use crate::equation::Label;

/// The members' costs as products of labels, one after the other: a choice reads it once, from the start to the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Dispatch {
    /// By step: its labels.
    labels: Vec<u32>,
    /// By step of each member: where its labels end.
    steps: Vec<u32>,
    /// By member: where its steps end.
    members: Vec<u32>,
}

impl Dispatch {
    /// For members of which each has steps of these labels.
    pub(super) fn new(members: &[Vec<Vec<Label>>]) -> Self {
        let mut dispatch = Self { labels: Vec::new(), steps: Vec::new(), members: Vec::new() };
        for steps in members {
            for labels in steps {
                dispatch.labels.extend(labels.iter().map(|label| label.index() as u32));
                dispatch.steps.push(dispatch.labels.len() as u32);
            }
            dispatch.members.push(dispatch.steps.len() as u32);
        }
        dispatch
    }

    /// The first member of the least cost at these sizes of the labels.
    pub(super) fn cheapest(&self, extents: &[usize]) -> usize {
        let (mut least, mut cheapest) = (f64::INFINITY, 0);
        let (mut step, mut label) = (0, 0);
        for (member, &end) in self.members.iter().enumerate() {
            let mut cost = 0.0;
            for &end in &self.steps[step..end as usize] {
                let labels = &self.labels[label..end as usize];
                cost += labels.iter().fold(1.0, |product, &label| product * extents[label as usize] as f64);
                label = end as usize;
            }
            step = end as usize;
            if cost < least {
                (least, cheapest) = (cost, member);
            }
        }
        cheapest
    }
}
