//! The choice of a member: each one's cost at the sizes, and the least of them.

use std::collections::BTreeMap;

use crate::equation::Label;

/// The members' costs as sums of products of labels. Members share most of their products, and each is computed once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Dispatch {
    /// The labels of all products, one product after the other.
    labels: Vec<u32>,
    /// By product: where its labels end.
    products: Vec<u32>,
    /// The products of all members' steps, one member after the other.
    steps: Vec<u16>,
    /// By member: where its steps end.
    members: Vec<u32>,
}

/// The products of all splits of seven operands in two: there are not more.
const MOST_PRODUCTS: usize = 966;

impl Dispatch {
    /// For members of which each has steps of these labels.
    pub(super) fn new(members: &[Vec<Vec<Label>>]) -> Self {
        let mut dispatch = Self {
            labels: Vec::new(),
            products: Vec::new(),
            steps: Vec::new(),
            members: Vec::with_capacity(members.len()),
        };
        let mut known: BTreeMap<&[Label], u16> = BTreeMap::new();
        for steps in members {
            for labels in steps {
                let next = known.len() as u16;
                let product = *known.entry(labels).or_insert(next);
                if product == next {
                    dispatch.labels.extend(labels.iter().map(|label| label.index() as u32));
                    dispatch.products.push(dispatch.labels.len() as u32);
                }
                dispatch.steps.push(product);
            }
            dispatch.members.push(dispatch.steps.len() as u32);
        }
        debug_assert!(dispatch.products.len() <= MOST_PRODUCTS);
        dispatch
    }

    /// The first member of the least cost at these sizes of the labels.
    pub(super) fn cheapest(&self, extents: &[usize]) -> usize {
        // A room as small as it may be, since all of it is written.
        match self.products.len() {
            0..=64 => self.cheapest_within::<64>(extents),
            65..=256 => self.cheapest_within::<256>(extents),
            _ => self.cheapest_within::<MOST_PRODUCTS>(extents),
        }
    }

    fn cheapest_within<const ROOM: usize>(&self, extents: &[usize]) -> usize {
        let mut prices = [0.0; ROOM];
        let mut start = 0;
        for (price, &end) in prices.iter_mut().zip(&self.products) {
            let labels = &self.labels[start..end as usize];
            *price = labels.iter().fold(1.0, |product, &label| product * extents[label as usize] as f64);
            start = end as usize;
        }
        let (mut least, mut cheapest, mut start) = (f64::INFINITY, 0, 0);
        for (member, &end) in self.members.iter().enumerate() {
            let steps = &self.steps[start..end as usize];
            let cost = steps.iter().fold(0.0, |cost, &product| cost + prices[usize::from(product)]);
            if cost < least {
                (least, cheapest) = (cost, member);
            }
            start = end as usize;
        }
        cheapest
    }
}
