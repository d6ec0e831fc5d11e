#![allow(unsafe_code, reason = "kernels go on from sums that are there")]
//! Sums whose terms come in several products, one after the other.
//!
//! A slice of a contraction has a range of its terms. The sums are to have the bits of one product over all of them, so
//! that each product goes on where the one before it ended: in the chain of the block that is open, and in the tree of the
//! blocks that are whole. Like the digits of a binary counter, the tree has at most one pending sum of each size; what was
//! said of them in `blocked` holds here, but they are arrays of all outputs that stay until the last product.

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::element::{Element, Real, Wide};
use super::isa::Isa;
use super::order::Order;
use super::outputs::{Outputs, array, made};
use super::product::{Product, Terms};
use super::tile::Start;
use super::{BLOCK, blocked, float, slim, small};
use crate::{DimensionNumbers, Dtype, Shape};

/// Outputs whose terms come product by product.
pub(crate) struct PartialSums<T: Element> {
    order: Order,
    sums: Chains<T::Part>,
}

impl<T: Element> PartialSums<T> {
    /// Outputs of this shape, in this order in memory, whose sums have so many terms in all.
    pub(crate) fn new(shape: &[usize], order: &Order, terms: usize) -> Self {
        Self::of_terms(shape, order, 0..terms)
    }

    /// The same of these terms alone, the first of which is the first of a block, and the last the last of one or of all.
    pub(crate) fn of_terms(shape: &[usize], order: &Order, terms: Range<usize>) -> Self {
        let parts = if T::DTYPE.is_complex() { Some(2) } else { None };
        let shape: Shape = shape.iter().copied().chain(parts).collect();
        let whole = if parts.is_some() { order.with_parts() } else { order.clone() };
        let terms = real_terms(T::DTYPE, terms.start)..real_terms(T::DTYPE, terms.end);
        Self { order: order.clone(), sums: Chains::new(&shape, &whole, terms) }
    }

    /// Adds the products of two sides that fit `dims`: the next terms of every output.
    pub(crate) fn add(&mut self, lhs: ArrayViewD<'_, T>, rhs: ArrayViewD<'_, T>, dims: &DimensionNumbers) {
        T::add_terms(&mut self.sums, &lhs, &rhs, dims, &self.order);
    }

    /// The outputs, all of whose terms have been added.
    pub(crate) fn finish(self) -> ArrayD<T> {
        T::from_parts(self.sums.finish(), &self.order)
    }

    /// The trees of some terms.
    pub(crate) fn into_forest(self) -> Forest<T::Part> {
        self.sums.into_forest()
    }

    /// What was added so far.
    pub(crate) fn so_far(&self) -> SoFar<'_, T::Part> {
        SoFar { done: self.sums.done, chain: &self.sums.chain, trees: self.sums.forest.trees() }
    }

    /// Goes on from what [`so_far`](Self::so_far) gave, in place of what was added to these.
    pub(crate) fn go_on(&mut self, done: usize, chain: ArrayD<T::Part>, trees: Vec<Tree<T::Part>>) {
        let Chains { start, end, .. } = self.sums;
        self.sums = Chains { chain, forest: Forest { trees, room: Vec::new() }, last: 0, start, done, end };
    }

    /// The outputs of the trees of all terms; those of no terms, where there are no trees.
    pub(crate) fn of_forest(forest: Forest<T::Part>, shape: &[usize], order: &Order) -> ArrayD<T> {
        match forest.finish() {
            Some(sums) => T::from_parts(sums, order),
            None => Self::new(shape, order, 0).finish(),
        }
    }

    /// Sums of none of the terms, which lie as those of a tree.
    pub(crate) fn zeros(shape: &[usize], order: &Order) -> ArrayD<T::Part> {
        Self::new(shape, order, 0).sums.chain
    }
}

/// What was added to partial sums so far.
#[derive(Debug)]
pub(crate) struct SoFar<'s, S> {
    /// How many terms, those before the first among them.
    pub(crate) done: usize,
    /// The chain that is open.
    pub(crate) chain: &'s ArrayD<S>,
    /// The trees before it.
    pub(crate) trees: &'s [Tree<S>],
}

/// The bytes that partial sums take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PartialBytes {
    /// The open chains, which become the outputs where those are as wide.
    pub(crate) chains: u64,
    /// The pending sums of trees.
    pub(crate) trees: u64,
    /// The outputs, where they are narrower, and made of the chains in the end.
    pub(crate) outputs: u64,
}

impl PartialBytes {
    /// Those of so many outputs with so many terms each, which come so many at a time; none where 64 bits do not count them.
    pub(crate) fn new(dtype: Dtype, outputs: u64, [terms, slice]: [usize; 2]) -> Option<Self> {
        let own = dtype.bytes() as u64;
        let part = match dtype {
            Dtype::F16 | Dtype::Bf16 => 4,
            Dtype::F32 | Dtype::F64 | Dtype::C32 | Dtype::C64 => own,
        };
        let chains = outputs.checked_mul(part)?;
        let trees = chains.checked_mul(pending([terms, slice].map(|terms| real_terms(dtype, terms))).into())?;
        Some(Self { chains, trees, outputs: if part == own { 0 } else { outputs.checked_mul(own)? } })
    }
}

/// The most sums of trees that are pending at a time: as many as a number below that of the trees added has digits of one.
fn pending([terms, slice]: [usize; 2]) -> u32 {
    let added = if whole_tree(slice).is_some() { terms / slice } else { terms.div_ceil(BLOCK) };
    added.checked_ilog2().unwrap_or(0)
}

/// The real terms that a sum of so many terms has.
fn real_terms(dtype: Dtype, terms: usize) -> usize {
    if dtype.is_complex() { terms.saturating_mul(2) } else { terms }
}

/// Real sums that are being made.
#[derive(Debug)]
pub struct Chains<S> {
    /// What the open block has so far, or, once all terms were added, the last tree.
    chain: ArrayD<S>,
    /// The trees that are whole, and may not be whole trees of more blocks yet.
    forest: Forest<S>,
    /// The size of the tree that is in `chain` once all terms were added.
    last: usize,
    /// The terms before the first of these.
    start: usize,
    done: usize,
    end: usize,
}

impl<S: Wide> Chains<S> {
    fn new(shape: &[usize], order: &Order, terms: Range<usize>) -> Self {
        let Range { start, end } = terms;
        assert!(start.is_multiple_of(BLOCK), "blocks are summed by one");
        Self { chain: zeros(shape, order), forest: Forest::default(), last: 0, start, done: start, end }
    }

    /// Adds the next terms.
    pub(super) fn add<T: Real<Wide = S>>(
        &mut self,
        isa: Isa,
        lhs: &ArrayViewD<'_, T>,
        rhs: &ArrayViewD<'_, T>,
        dims: &DimensionNumbers,
        order: &Order,
    ) {
        let product = Product::new(lhs, rhs, dims, Terms::Listed, order);
        if product.outputs() == 0 {
            return;
        }
        assert_eq!(product.shape.as_slice(), self.chain.shape(), "the sums are those of other outputs");
        let size = whole_tree(product.terms()).filter(|size| (self.done / BLOCK).trailing_zeros() >= *size as u32);
        let begun = self.done % BLOCK;
        if begun == 0 && (product.terms() <= BLOCK || size.is_some()) {
            // Nothing to go on from.
            float::fill(isa, &product, &outputs(&mut self.chain));
            self.advance(product.terms(), size.unwrap_or(0), order);
            return;
        }
        let mut from = 0;
        while from < product.terms() {
            let begun = self.done % BLOCK;
            let terms = from..product.terms().min(from + BLOCK - begun);
            let start = if begun == 0 { Start::Zero } else { Start::There };
            go_on(isa, &product, &terms, start, &outputs(&mut self.chain));
            self.advance(terms.len(), 0, order);
            from = terms.end;
        }
    }

    /// Counts terms that were added; where they end a block, the sum, which is that of a tree of this size, goes into the
    /// tree of all.
    fn advance(&mut self, terms: usize, size: usize, order: &Order) {
        let first = self.done / BLOCK;
        self.done += terms;
        self.last = size;
        if !self.done.is_multiple_of(BLOCK) || self.done == self.end {
            return;
        }
        let shape = Shape::from_slice(self.chain.shape());
        let sums = std::mem::replace(&mut self.chain, ArrayD::from_elem(IxDyn(&[0]), S::ZERO));
        self.forest.push(Tree { first, size, sums });
        // The memory of a sum that was merged is that of the next chain.
        self.chain = self.forest.room.pop().unwrap_or_else(|| zeros(&shape, order));
    }

    /// The sums, all of whose terms have been added, and none before them.
    fn finish(mut self) -> ArrayD<S> {
        debug_assert!(self.done == self.end || self.chain.is_empty(), "{} of {} terms", self.done, self.end);
        for tree in self.forest.trees.drain(..).rev() {
            merge(&tree.sums, &mut self.chain);
        }
        self.chain
    }

    /// The trees that the sums are made of, where they are some of all terms only.
    fn into_forest(self) -> Forest<S> {
        let Self { chain: sums, mut forest, last, start, done, end } = self;
        debug_assert!(done == end || sums.is_empty(), "{done} of {end} terms");
        if start < end {
            let first = (end - 1) / BLOCK + 1 - (1 << last);
            forest.push(Tree { first, size: last, sums });
        }
        forest
    }
}

/// The sums of some blocks of terms: of two to the power of `size` of them, from the one numbered `first` on, which that divides.
/// The last block of all may have fewer terms.
#[derive(Clone, Debug)]
pub(crate) struct Tree<S> {
    pub(crate) first: usize,
    pub(crate) size: usize,
    pub(crate) sums: ArrayD<S>,
}

/// Trees one behind the other, of which those that are halves of one have become one.
#[derive(Debug)]
pub(crate) struct Forest<S> {
    trees: Vec<Tree<S>>,
    /// The memory of sums that are pending no more.
    room: Vec<ArrayD<S>>,
}

impl<S> Default for Forest<S> {
    fn default() -> Self {
        Self { trees: Vec::new(), room: Vec::new() }
    }
}

impl<S: Wide> Forest<S> {
    /// Adds the tree behind the last one.
    pub(crate) fn push(&mut self, mut tree: Tree<S>) {
        while let Some(left) = self.trees.pop_if(|left| {
            left.size == tree.size
                && (left.first >> left.size).is_multiple_of(2)
                && left.first + (1 << left.size) == tree.first
        }) {
            merge(&left.sums, &mut tree.sums);
            self.room.push(left.sums);
            tree = Tree { first: left.first, size: left.size + 1, sums: tree.sums };
        }
        self.trees.push(tree);
    }

    /// Those that are there, the first first.
    pub(crate) fn trees(&self) -> &[Tree<S>] {
        &self.trees
    }

    /// The sums, of which all trees are there; none where there are none.
    fn finish(mut self) -> Option<ArrayD<S>> {
        let mut sums = self.trees.pop()?.sums;
        for tree in self.trees.drain(..).rev() {
            merge(&tree.sums, &mut sums);
        }
        Some(sums)
    }
}

/// Adds the sums of the terms before them.
fn merge<S: Wide>(left: &ArrayD<S>, sums: &mut ArrayD<S>) {
    sums.zip_mut_with(left, |sum, &left| *sum = left.plus(*sum));
}

/// The size of the tree that so many terms are, if they are a whole one of whole blocks.
fn whole_tree(terms: usize) -> Option<usize> {
    let blocks = terms / BLOCK;
    (terms.is_multiple_of(BLOCK) && blocks.is_power_of_two()).then(|| blocks.trailing_zeros() as usize)
}

/// All sums, as they lie in memory, to be written or added to.
fn outputs<S: Wide>(sums: &mut ArrayD<S>) -> Outputs<'_, S> {
    let sums = sums.as_slice_memory_order_mut().expect("arrays of sums have no gaps");
    // SAFETY: kernels write sums.
    Outputs::new(unsafe { made(sums) })
}

fn zeros<S: Wide>(shape: &[usize], order: &Order) -> ArrayD<S> {
    // SAFETY: all are written.
    unsafe { array(shape, order, |out| (0..out.len()).for_each(|at| out.write(at, S::ZERO))) }
}

/// Adds some terms of one block to every chain, or starts the chains with them.
fn go_on<T: Real>(isa: Isa, product: &Product<'_, T>, terms: &Range<usize>, start: Start, out: &Outputs<'_, T::Wide>) {
    let least = product.lhs.free.len().min(product.rhs.free.len());
    // A few terms are added to many outputs as fast as memory is read; tiles would not make that faster.
    if least <= 2 || terms.len() <= 2 || small::pays(product) {
        slim::go_on(isa, product, terms, start, out);
    } else {
        // SAFETY: the sums are there.
        unsafe { blocked::multiply_terms(isa, product, terms, start, out) }
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use ndarray::{Axis, Slice};
    use num_complex::Complex;

    use super::*;
    use crate::kernel::cases::{Random, Sample, Stored, Values, assert_same, seeds};
    use crate::kernel::dot_general;

    /// A product cut along its first contracting axis is the product, by any way to multiply its slices.
    fn check<T: Element + Sample>(
        sizes: [&[usize]; 5],
        calls: u64,
        multiply: impl Fn(&[Sides<'_, T>], &DimensionNumbers, &Order, [usize; 2], &[usize]) -> Vec<ArrayD<T>>,
    ) {
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let [batch, m, n, cut, rest] = sizes.map(|sizes| random.size(sizes));
            let values = random.pick(&[Values::Unit, Values::Finite]);
            let lhs = Stored::<T>::random(&mut random, &[m, cut, batch, rest], values);
            let rhs = Stored::<T>::random(&mut random, &[cut, batch, rest, n], values);
            let (lhs, rhs) = (lhs.view(), rhs.view());
            let dims = DimensionNumbers::new([(2, 1)], [(1, 0), (3, 2)]).unwrap();
            let order = Order::new(random.shuffled(3).into_iter().collect());
            let expected = dot_general(lhs.view(), rhs.view(), &dims, &order);
            let slice = |at: usize| {
                let at = Slice::from(at..=at);
                [lhs.slice_axis(Axis(1), at), rhs.slice_axis(Axis(0), at)]
            };
            let slices: Vec<Sides<'_, T>> = (0..cut).map(slice).collect();
            let what = format!("{} seed {seed}: {batch} of {m} by {n}, {cut} times {rest} terms", T::DTYPE);
            for found in multiply(&slices, &dims, &order, [cut, rest], expected.shape()) {
                assert_eq!(found.shape(), expected.shape(), "{what}");
                let parts = |array: &ArrayD<T>| T::floats(array.view()).into_owned();
                assert_same(&parts(&found), &parts(&expected), &what);
            }
        }
    }

    /// The lhs and the rhs.
    type Sides<'a, T> = [ArrayViewD<'a, T>; 2];

    /// As a run does.
    fn check_element<T: Element + Sample>(sizes: [&[usize]; 5], calls: u64) {
        check::<T>(sizes, calls, |slices, dims, order, [cut, rest], shape| {
            let mut sums = PartialSums::<T>::new(shape, order, cut * rest);
            for [lhs, rhs] in slices {
                sums.add(lhs.view(), rhs.view(), dims);
            }
            vec![sums.finish()]
        });
    }

    /// On every instruction set.
    fn check_real<T: Real<Part = <T as Real>::Wide> + Sample>(sizes: [&[usize]; 5], calls: u64) {
        check::<T>(sizes, calls, |slices, dims, order, [cut, rest], shape| {
            let on = |isa| {
                let mut sums = Chains::new(shape, order, 0..cut * rest);
                for [lhs, rhs] in slices {
                    sums.add(isa, lhs, rhs, dims, order);
                }
                T::from_parts(sums.finish(), order)
            };
            Isa::available().into_iter().map(on).collect()
        });
        check_element::<T>(sizes, calls / 4);
    }

    fn check_all(sizes: [&[usize]; 5], calls: u64) {
        check_real::<f32>(sizes, calls);
        check_real::<f64>(sizes, calls);
        check_real::<f16>(sizes, calls);
        check_real::<bf16>(sizes, calls);
        check_element::<Complex<f32>>(sizes, calls);
        check_element::<Complex<f64>>(sizes, calls);
    }

    #[test]
    fn chains_go_on_where_they_ended() {
        check_all([&[0, 1, 2, 17], &[0, 1, 2, 5, 30], &[0, 1, 3, 33, 70], &[1, 2, 3], &[0, 1, 2, 5, 40]], 60);
    }

    #[test]
    fn trees_go_on_where_they_ended() {
        check_all([&[1, 2], &[1, 4, 15], &[1, 3, 33], &[2, 3, 5], &[300, 512, 700, 1024, 1500, 2048]], 12);
    }

    /// Terms that are summed by several, each of whom has some blocks.
    fn check_parts<T: Element + Sample>(sizes: [&[usize]; 5], calls: u64) {
        check::<T>(sizes, calls, |slices, dims, order, [cut, rest], shape| {
            let unit = BLOCK / (1 << rest.trailing_zeros().min(10));
            let share = |of: usize| {
                let ranges = (0..of).map(|each| {
                    (cut.div_ceil(unit) * each / of * unit).min(cut)
                        ..(cut.div_ceil(unit) * (each + 1) / of * unit).min(cut)
                });
                let mut all = Forest::default();
                for range in ranges {
                    let terms = range.start * rest..range.end * rest;
                    let mut sums = PartialSums::<T>::of_terms(shape, order, terms);
                    for [lhs, rhs] in &slices[range] {
                        sums.add(lhs.view(), rhs.view(), dims);
                    }
                    sums.into_forest().trees.into_iter().for_each(|tree| all.push(tree));
                }
                PartialSums::<T>::of_forest(all, shape, order)
            };
            (1..6).map(share).collect()
        });
    }

    #[test]
    fn trees_of_several_are_the_tree_of_all() {
        let sizes: [&[usize]; 5] = [&[1, 2], &[1, 4, 15], &[1, 3, 33], &[1, 3, 5, 9, 14], &[512, 1024, 1536, 2048]];
        check_parts::<f32>(sizes, 12);
        check_parts::<f16>(sizes, 6);
        check_parts::<Complex<f64>>(sizes, 6);
        check_parts::<f64>([&[1], &[3], &[17], &[1, 2048, 5000], &[0, 1, 3, 4]], 12);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn what_is_kept_is_what_is_counted() {
        let cases = [
            (Dtype::F32, [1024, 7], [40, 0, 0]),
            (Dtype::F16, [1025, 7], [40, 40, 20]),
            (Dtype::F16, [3073, 7], [40, 80, 20]),
            (Dtype::C32, [2048, 8], [80, 160, 0]),
            (Dtype::C32, [2048, 1024], [80, 80, 0]),
            (Dtype::F64, [0, 0], [80, 0, 0]),
        ];
        for (dtype, terms, [chains, trees, outputs]) in cases {
            assert_eq!(PartialBytes::new(dtype, 10, terms), Some(PartialBytes { chains, trees, outputs }), "{dtype}");
        }
        let dims = DimensionNumbers::new([], [(0, 0)]).unwrap();
        for slice in [1, 500, BLOCK, 1500, 2 * BLOCK, 3 * BLOCK, 4 * BLOCK] {
            for slices in 1..20 {
                let mut sums = PartialSums::<f32>::new(&[], &Order::row_major(0), slices * slice);
                let side = ArrayD::from_elem(IxDyn(&[slice]), 1.0_f32);
                for _ in 0..slices {
                    sums.add(side.view(), side.view(), &dims);
                }
                let Forest { trees, room } = &sums.sums.forest;
                let kept = trees.len() + room.len();
                assert_eq!(kept as u32, pending([slices * slice, slice]), "{slices} of {slice}");
                assert_eq!(sums.finish()[[].as_slice()], (slices * slice) as f32);
            }
        }
    }
}
