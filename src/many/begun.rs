//! An equation some of whose products are contracted first, and the next products that it could begin with.

use crate::equation::{Equation, Label};
use crate::error::Result;
use crate::path::{Cost, Found, Path, SearchOptions, given, search};
use crate::sizes::Sizes;

use super::bound::Bound;

/// Up to so many items, products of three are looked at beside those of two; and of two up to so many.
const FEW_FOR_THREE: usize = 16;
const FEW_FOR_TWO: usize = 512;

/// What is left of an equation: operands, and results of products in their place.
#[derive(Clone, Debug)]
pub(super) struct Begun<'e> {
    bound: &'e Bound,
    /// In the order of the list of operands: operands as written, then results as they are made.
    items: Vec<Item>,
    /// The products contracted so far, in ids that are never reused.
    joins: Vec<[usize; 2]>,
}

#[derive(Clone, Debug)]
struct Item {
    id: usize,
    /// Equal for values that are the same: the common operand, or the number of a product that several equations have.
    token: usize,
    labels: Vec<Label>,
    shape: Vec<usize>,
}

/// Two or three items of an equation, by their ids: the first two are joined first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    ids: Vec<usize>,
}

/// What a product does to which values, whatever labels are called: that two spots have the same is needed for their calls
/// to be the same, and in all but a few cases enough.
pub(super) type Signature = Vec<usize>;

impl Spot {
    /// Whether the two have an item in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.ids.iter().any(|id| other.ids.contains(id))
    }
}

impl<'e> Begun<'e> {
    pub(super) fn new(bound: &'e Bound) -> Self {
        let operands = bound.equation.operands().iter().zip(bound.sizes.shapes()).zip(&bound.operands).enumerate();
        let item = |(id, ((labels, shape), &token)): (usize, ((&crate::Subscript, &crate::Shape), &usize))| Item {
            id,
            token,
            labels: labels.to_vec(),
            shape: shape.to_vec(),
        };
        Self { bound, items: operands.map(item).collect(), joins: Vec::new() }
    }

    /// The number of items that are left.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The products that the equation could begin with, of items that labels join.
    pub(super) fn spots(&self) -> Vec<Spot> {
        let mut spots = Vec::new();
        if self.items.len() > FEW_FOR_TWO {
            return spots;
        }
        for (at, one) in self.items.iter().enumerate() {
            for (beyond, other) in self.items.iter().enumerate().skip(at + 1) {
                if !are_joined(one, other) {
                    continue;
                }
                let ids = vec![one.id, other.id];
                if self.items.len() <= FEW_FOR_THREE {
                    let third = self.items.iter().enumerate().filter(|(third, item)| {
                        *third != at && *third != beyond && (are_joined(item, one) || are_joined(item, other))
                    });
                    spots.extend(third.map(|(_, item)| Spot { ids: vec![one.id, other.id, item.id] }));
                }
                spots.push(Spot { ids });
            }
        }
        spots
    }

    /// What the product does, and its multiplications, by all that is known of it here.
    pub(super) fn signature(&self, spot: &Spot) -> (Signature, Cost) {
        let items = self.at(spot);
        let labels = named(&items);
        // In which order of the list they are, since that decides the sides of a call.
        let mut signature: Signature =
            items.iter().map(|item| items.iter().filter(|other| other.id < item.id).count()).collect();
        for item in &items {
            signature.extend([item.token, item.labels.len()]);
            signature.extend(item.labels.iter().filter_map(|label| labels.iter().position(|each| each == label)));
        }
        signature.extend(labels.iter().map(|&label| usize::from(self.is_kept(label, spot))));
        let of = |ids: &[usize]| {
            let labels = named(&self.at(&Spot { ids: ids.to_vec() }));
            let sizes = labels.iter().map(|&label| Cost::from(self.bound.sizes.extent(label)));
            sizes.fold(Cost::ONE, |product, size| product * size)
        };
        let mut cost = of(&spot.ids[..2]);
        if spot.ids.len() > 2 {
            cost += &of(&spot.ids);
        }
        (signature, cost)
    }

    /// Contracts a product; its result is known by this token.
    pub(super) fn contract(&mut self, spot: &Spot, token: usize) {
        let items = self.at(spot);
        let kept = named(&items).into_iter().filter(|&label| self.is_kept(label, spot));
        let extent = |label: Label| {
            let sizes = items.iter().flat_map(|item| item.labels.iter().zip(&item.shape));
            let mut sizes = sizes.filter(|(each, _)| **each == label).map(|(_, &size)| size);
            sizes.find(|&size| size != 1).unwrap_or(1)
        };
        let (labels, shape) = kept.map(|label| (label, extent(label))).unzip();
        let mut id = spot.ids[0];
        for &next in &spot.ids[1..] {
            self.joins.push([id, next]);
            id = self.bound.operands.len() + self.joins.len() - 1;
        }
        self.items.retain(|item| !spot.ids.contains(&item.id));
        self.items.push(Item { id, token, labels, shape });
    }

    /// The best path that a search finds for what is left, after the products contracted so far; none where a product has
    /// too many elements for an array.
    pub(super) fn complete(&self, options: &SearchOptions) -> Result<Option<Found>> {
        let equation = &self.bound.equation;
        let name = |label: &Label| equation.name(*label);
        let operands: Vec<Vec<&str>> = self.items.iter().map(|item| item.labels.iter().map(name).collect()).collect();
        let output: Vec<&str> = equation.output().iter().map(name).collect();
        let left = Equation::new(equation.syntax(), &operands, &output)?;
        let shapes: Vec<&[usize]> = self.items.iter().map(|item| item.shape.as_slice()).collect();
        let Ok(sizes) = Sizes::new(&left, &shapes) else { return Ok(None) };
        let found = search(&crate::ContractionGraph::new(&left, &sizes), options)?;
        let mut joins = self.joins.clone();
        let mut ids: Vec<usize> = self.items.iter().map(|item| item.id).collect();
        for [one, other] in found.path.ssa() {
            joins.push([ids[one], ids[other]]);
            ids.push(self.bound.operands.len() + joins.len() - 1);
        }
        given(&self.bound.graph, Path::from_ssa(&joins)?).map(Some)
    }

    fn at(&self, spot: &Spot) -> Vec<&Item> {
        spot.ids.iter().filter_map(|id| self.items.iter().find(|item| item.id == *id)).collect()
    }

    /// Whether anybody needs a label beside the items of a spot.
    fn is_kept(&self, label: Label, spot: &Spot) -> bool {
        let others = self.items.iter().filter(|item| !spot.ids.contains(&item.id));
        self.bound.equation.output().contains(&label) || others.into_iter().any(|item| item.labels.contains(&label))
    }
}

fn are_joined(one: &Item, other: &Item) -> bool {
    one.labels.iter().any(|label| other.labels.contains(label))
}

/// The labels of items, each once, by first appearance.
fn named(items: &[&Item]) -> Vec<Label> {
    let mut labels = Vec::new();
    for label in items.iter().flat_map(|item| &item.labels) {
        if !labels.contains(label) {
            labels.push(*label);
        }
    }
    labels
}
