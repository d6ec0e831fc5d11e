//! Which part of each value a rank has.

use std::fmt;
use std::ops::Range;

use crate::equation::Label;
use crate::lower::{Axes, Plan, ValueId};

/// How ranks share the calls of a plan: by call, the label of whose indices each has a range.
///
/// ```
/// use qeinsum::{QEinsum, spread::{Network, Spread}};
/// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[4096, 512], &[512, 8]])?;
/// let spread = Spread::choose(&plan, None, 4, Network::default());
/// assert_eq!(spread.to_string(), "4 ranks: i\n"); // of the one call, each has a quarter of the rows
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spread {
    pub(super) ranks: usize,
    /// By call; none where all ranks compute all of it.
    pub(super) calls: Vec<Option<Label>>,
    /// By value, the label of which a rank has a range when the value is read; none where it has all.
    pub(super) wants: Vec<Option<Label>>,
    /// By label, how many indices stay together.
    pub(super) units: Vec<usize>,
    /// By label.
    pub(super) extents: Vec<usize>,
    /// By label.
    pub(super) names: Vec<String>,
}

impl Spread {
    /// The ranks.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// By call, the label that ranks have ranges of; none where each computes the whole call.
    pub fn calls(&self) -> &[Option<Label>] {
        &self.calls
    }

    /// The indices that a rank has of a label.
    ///
    /// ```
    /// use qeinsum::{QEinsum, spread::{Network, Spread}};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[4096, 512], &[512, 8]])?;
    /// let spread = Spread::choose(&plan, None, 3, Network::default());
    /// let i = plan.equation().label("i").expect("the equation has it");
    /// assert_eq!(spread.range(i, 1), 1365..2730);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn range(&self, label: Label, rank: usize) -> Range<usize> {
        let (unit, extent) = (self.units[label.index()], self.extents[label.index()]);
        let blocks = extent.div_ceil(unit);
        let bound = |rank: usize| (blocks * rank / self.ranks * unit).min(extent);
        bound(rank)..bound(rank + 1)
    }

    /// Along each axis of an operand, the indices that a rank reads: what [`Plan::run_parts_on`] takes there.
    ///
    /// ```
    /// use qeinsum::{QEinsum, spread::{Network, Spread}};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[4096, 512], &[512, 8]])?;
    /// let spread = Spread::choose(&plan, None, 4, Network::default());
    /// assert_eq!(spread.part(&plan, 0, 3), [3072..4096, 0..512]); // a quarter of the rows
    /// assert_eq!(spread.part(&plan, 1, 3), [0..512, 0..8]); // all of it
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    ///
    /// Of a plan in slices, whose passes any rank may be given, that is everything.
    pub fn part(&self, plan: &Plan, operand: usize, rank: usize) -> Vec<Range<usize>> {
        let id = ValueId::new(operand);
        let mut part: Vec<Range<usize>> = plan.sizes().shapes()[operand].iter().map(|&size| 0..size).collect();
        if let Some(label) = self.wants[id.index()].filter(|_| plan.slices().is_empty()) {
            for &axis in &axes_of(plan, id, label) {
                part[axis] = self.range(label, rank);
            }
        }
        part
    }

    pub(super) fn extent(&self, label: Label) -> usize {
        self.extents[label.index()]
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.calls.iter().map(|label| label.map_or("-", |label| &self.names[label.index()]));
        let names: Vec<&str> = names.collect();
        writeln!(f, "{} ranks: {}", self.ranks, if names.is_empty() { "-".to_owned() } else { names.join(" ") })
    }
}

/// The axes along which a value goes through all indices of a label: several before their diagonal is taken, none where it
/// broadcasts.
pub(super) fn axes_of(plan: &Plan, value: ValueId, label: Label) -> Axes {
    let (value, extent) = (plan.value(value), plan.sizes().extent(label));
    let axes = value.labels().iter().zip(value.shape()).enumerate();
    axes.filter(|(_, (each, size))| **each == label && **size == extent).map(|(axis, _)| axis).collect()
}
