//! The passes of a loop that ranks share: what some of them make, and what all make together.
//!
//! Passes make parts of the output; or trees of the blocks of terms that they have, where passes fill blocks; or, where a block
//! takes too many of them, the two sides of the call that sums, whose terms are then added in their order by one rank.

use std::ops::Range;

use ndarray::{ArrayD, Axis, IxDyn, Slice};

use crate::dtype::Dtype;
use crate::error::Result;
use crate::kernel::{Element, Forest, Order, PartialBytes, PartialSums, Tree};
use crate::lower::{DimensionNumbers, Gathering, Loop, Op, Plan};
use crate::ranks::lost;

use super::message::{put_array, put_elements, put_trees, put_word, take_array, take_elements, take_trees, take_word};
use super::run::{Calls, Values};
use super::sliced::{Gathered, Sliced};

/// Units for each rank, so that a slow one leaves some to the others.
const UNITS: usize = 16;

/// Units of passes whose terms fill blocks; where there are fewer of them, single passes are handed out.
const TREES: usize = 16;

/// A loop whose passes ranks share.
pub(super) struct Passes<'h, 'p> {
    plan: &'p Plan,
    sliced: &'h Sliced<'p>,
    outermost: &'h Loop,
    made: Made,
    count: usize,
    /// So many passes have whole blocks of terms, where that matters.
    least: usize,
}

/// What passes make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    Parts,
    Trees,
    Sides,
}

/// What has come of the passes so far.
pub(super) struct Whole<T: Element> {
    /// By pass.
    pub(super) done: Vec<bool>,
    so_far: SoFar<T>,
}

enum SoFar<T: Element> {
    Parts(ArrayD<T>),
    Trees(Forest<T::Part>),
    Sides(PartialSums<T>),
}

impl<'h, 'p> Passes<'h, 'p> {
    pub(super) fn new(plan: &'p Plan, sliced: &'h Sliced<'p>, outermost: &'h Loop) -> Self {
        let count = outermost.passes();
        let (made, least) = match outermost.gathering() {
            Gathering::Along(_) => (Made::Parts, 1),
            Gathering::Sum => {
                let block: usize = if plan.dtype().is_complex() { 512 } else { 1024 };
                let terms = plan.slice_terms(outermost.result()).max(1);
                let least = block >> terms.trailing_zeros().min(block.trailing_zeros());
                // Whatever the number of ranks, so that one can go on with what others have begun.
                if count.div_ceil(least) < TREES { (Made::Sides, 1) } else { (Made::Trees, least) }
            }
        };
        Self { plan, sliced, outermost, made, count, least }
    }

    /// Passes of a unit for so many ranks.
    fn unit(&self, ranks: usize) -> usize {
        match self.made {
            Made::Sides => 1,
            Made::Parts | Made::Trees => (self.count / (UNITS * ranks)).max(1).div_ceil(self.least) * self.least,
        }
    }

    /// The bytes of what a unit makes, in elements of a type.
    pub(super) fn unit_bytes(&self, ranks: usize, dtype: Dtype) -> Option<u64> {
        let result = self.plan.value(self.outermost.result());
        match self.made {
            Made::Parts => result.bytes_in(dtype)?.checked_mul(self.unit(ranks) as u64),
            Made::Sides => {
                let sides = self.plan.maker(self.outermost.result()).op().inputs();
                sides
                    .map(|side| self.plan.value(side).bytes_in(dtype))
                    .try_fold(0, |all: u64, side| all.checked_add(side?))
            }
            Made::Trees => {
                let terms = self.plan.slice_terms(self.outermost.result()).saturating_mul(self.unit(ranks));
                let PartialBytes { chains, trees, .. } = PartialBytes::new(dtype, result.elements()?, [terms, 1])?;
                // Trees of terms that begin anywhere, which grow to the middle and shrink to the end.
                chains.checked_add(trees.checked_mul(2)?)
            }
        }
    }

    /// The passes that are left, cut into units for so many ranks.
    pub(super) fn units(&self, done: &[bool], ranks: usize) -> Vec<Range<usize>> {
        let unit = self.unit(ranks);
        let mut units: Vec<Range<usize>> = Vec::new();
        for pass in (0..self.count).filter(|&pass| !done[pass]) {
            match units.last_mut() {
                Some(last) if last.end == pass && last.len() < unit => last.end = pass + 1,
                _ => units.push(pass..pass + 1),
            }
        }
        units
    }

    /// Whether what units make is added in their order.
    pub(super) fn are_ordered(&self) -> bool {
        self.made != Made::Parts
    }

    /// What some passes make.
    pub(super) fn work<T: Element>(
        &self,
        passes: Range<usize>,
        values: &Values<'_, T>,
        calls: &mut impl for<'c> Calls<'c, T>,
    ) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        match self.made {
            Made::Parts => {
                let mut parts = Vec::new();
                self.sliced.passes(self.outermost, passes, values, &mut Gathered::Parts(&mut parts), calls)?;
                for part in &parts {
                    put_array(&mut message, part);
                }
            }
            Made::Sides => {
                let mut sides = Vec::new();
                self.sliced.passes(self.outermost, passes, values, &mut Gathered::Sides(&mut sides), calls)?;
                for side in sides.iter().flatten() {
                    put_array(&mut message, side);
                }
            }
            Made::Trees => {
                let terms = self.plan.slice_terms(self.outermost.result());
                let own = passes.start * terms..passes.end * terms;
                let mut sums = PartialSums::of_terms(self.shape(), &self.order(), own);
                self.sliced.passes(self.outermost, passes, values, &mut Gathered::Sum(&mut sums), calls)?;
                put_trees(&mut message, sums.into_forest().trees());
            }
        }
        Ok(message)
    }

    /// Nothing of it yet.
    pub(super) fn begin<T: Element>(&self) -> Whole<T> {
        let plan = self.plan;
        let so_far = match self.made {
            Made::Parts => {
                let shape = plan.sizes().shape_of(plan.equation().output());
                SoFar::Parts(ArrayD::from_elem(IxDyn(&shape), T::ZERO))
            }
            Made::Trees => SoFar::Trees(Forest::default()),
            Made::Sides => {
                let terms = plan.terms(self.outermost.result());
                SoFar::Sides(PartialSums::new(self.shape(), &self.order(), terms))
            }
        };
        Whole { done: vec![false; self.count], so_far }
    }

    /// Adds what some passes made.
    pub(super) fn accept<T: Element>(&self, whole: &mut Whole<T>, passes: Range<usize>, made: &[u8]) -> Result<()> {
        let mut rest = made;
        match &mut whole.so_far {
            SoFar::Parts(parts) => {
                for pass in passes.clone() {
                    let part = take_array::<T>(&mut rest)?;
                    let mut place = parts.view_mut();
                    for (axis, index) in self.place(pass) {
                        place.slice_axis_inplace(Axis(axis), Slice::from(index..=index));
                    }
                    place.assign(&part);
                }
            }
            SoFar::Trees(forest) => self.take_trees::<T>(&mut rest, |tree| forest.push(tree))?,
            SoFar::Sides(sums) => {
                for _ in passes.clone() {
                    let [lhs, rhs] = [take_array::<T>(&mut rest)?, take_array::<T>(&mut rest)?];
                    sums.add(lhs.view(), rhs.view(), self.dims());
                }
            }
        }
        whole.done[passes].fill(true);
        Ok(())
    }

    /// All of it, every pass being done.
    pub(super) fn finish<T: Element>(&self, whole: Whole<T>) -> ArrayD<T> {
        match whole.so_far {
            SoFar::Parts(parts) => parts,
            SoFar::Trees(forest) => PartialSums::of_forest(forest, self.shape(), &self.order()),
            SoFar::Sides(sums) => sums.finish(),
        }
    }

    /// An array like the one that all passes make.
    pub(super) fn room<T: Element>(&self) -> ArrayD<T> {
        match self.begin().so_far {
            SoFar::Parts(parts) => parts,
            SoFar::Trees(_) | SoFar::Sides(_) => PartialSums::of_forest(Forest::default(), self.shape(), &self.order()),
        }
    }

    /// What has come so far, for a checkpoint.
    pub(super) fn save<T: Element>(&self, whole: &Whole<T>) -> Vec<u8> {
        let mut saved = Vec::new();
        put_word(&mut saved, self.count);
        saved.extend(whole.done.iter().map(|&done| u8::from(done)));
        match &whole.so_far {
            SoFar::Parts(parts) => put_elements(&mut saved, parts),
            SoFar::Trees(forest) => put_trees(&mut saved, forest.trees()),
            SoFar::Sides(sums) => {
                let so_far = sums.so_far();
                put_word(&mut saved, so_far.done);
                put_elements(&mut saved, so_far.chain);
                put_trees(&mut saved, so_far.trees);
            }
        }
        saved
    }

    /// What had come when this was saved, by a run of the same plan.
    pub(super) fn load<T: Element>(&self, mut saved: &[u8]) -> Result<Whole<T>> {
        let mut whole = self.begin();
        if take_word(&mut saved)? != self.count {
            return Err(lost("a checkpoint has other passes"));
        }
        let (done, rest) = saved.split_at_checked(self.count).ok_or_else(|| lost("a checkpoint is cut short"))?;
        whole.done = done.iter().map(|&done| done == 1).collect();
        saved = rest;
        match &mut whole.so_far {
            SoFar::Parts(parts) => {
                take_elements(&mut saved, parts.as_slice_memory_order_mut().expect("it has no gaps"))?;
            }
            SoFar::Trees(forest) => self.take_trees::<T>(&mut saved, |tree| forest.push(tree))?,
            SoFar::Sides(sums) => {
                let done = take_word(&mut saved)?;
                let mut chain = PartialSums::<T>::zeros(self.shape(), &self.order());
                take_elements(&mut saved, chain.as_slice_memory_order_mut().expect("it has no gaps"))?;
                let mut trees = Vec::new();
                self.take_trees::<T>(&mut saved, |tree| trees.push(tree))?;
                sums.go_on(done, chain, trees);
            }
        }
        if saved.is_empty() { Ok(whole) } else { Err(lost("a checkpoint has more than was kept")) }
    }

    fn take_trees<T: Element>(&self, message: &mut &[u8], each: impl FnMut(Tree<T::Part>)) -> Result<()> {
        take_trees(message, || PartialSums::<T>::zeros(self.shape(), &self.order()), each)
    }

    /// The shape of what a pass makes.
    fn shape(&self) -> &'p [usize] {
        self.plan.value(self.outermost.result()).shape()
    }

    fn order(&self) -> Order {
        self.sliced.walk.readers.memory_order(self.plan.maker(self.outermost.result()))
    }

    /// The dimension numbers of the call that sums.
    fn dims(&self) -> &'p DimensionNumbers {
        match self.plan.maker(self.outermost.result()).op() {
            Op::DotGeneral { dims, .. } => dims,
            _ => unreachable!("a loop ends with the call that sums its label"),
        }
    }

    /// The axes of the output that are sliced, and the index of a pass on each.
    fn place(&self, pass: usize) -> Vec<(usize, usize)> {
        let mut rest = pass;
        let mut place = Vec::new();
        let mut next = Some(self.outermost);
        while let Some(around) = next {
            let each = around.passes() / around.slice().size;
            if let Gathering::Along(axis) = around.gathering() {
                place.push((axis, rest / each));
            }
            rest %= each;
            next = around.next();
        }
        place
    }
}
