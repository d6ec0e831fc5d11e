#![allow(unsafe_code, reason = "reads through the offsets of walks")]
//! The sides of an integer product: elements of any type, what they are scaled by, and how they become integers.

use std::marker::PhantomData;
use std::ops::Range;

use half::{bf16, f16};
use ndarray::ArrayViewD;

use super::pack::{Layout, Pack, Packed, Source, run_length};
use super::packed_side::PackedSide;
use crate::kernel::halves::{widen_bf16, widen_f16};
use crate::kernel::isa::{Isa, Vectorized};
use crate::kernel::product::Operand;
use crate::kernel::scratch::Scratch;
use crate::kernel::walk::Walk;

/// What makes integers of eight bits of the elements of a side.
pub(crate) trait Quantize: Copy + Sync {
    /// The scale of positions whose largest magnitude has these bits, and one over it.
    fn scales(self, largest: u32) -> [f32; 2];

    /// The integer of an element and its position's scale, which is at most [`LARGE_SCALE`](Self::LARGE_SCALE).
    fn integer(self, x: f32, scale: f32) -> i32;

    /// The integer of an element and any scale.
    fn integer_of_any_scale(self, x: f32, scale: f32) -> i32;

    /// The largest scale with which `integer` may be asked.
    const LARGE_SCALE: f32;

    /// Where the integer is the binary32 product of element and scale, cut at this limit and at minus it, rounded to the
    /// nearest integer with ties to even, and zero for NaN: the limit.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for what packs floats with instructions of x86-64")
    )]
    fn limit(self) -> Option<f32>;
}

/// Integers as they are.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Exact;

impl Quantize for Exact {
    fn scales(self, _: u32) -> [f32; 2] {
        [1.0; 2]
    }

    #[inline(always)]
    fn integer(self, x: f32, _: f32) -> i32 {
        // Added to this, a small integer is in the lowest bits of the sum; unlike a cast, which saturates, that is one vector
        // operation.
        const UNIT: f32 = 12_582_912.0;
        (x + UNIT).to_bits() as i32 - UNIT.to_bits() as i32
    }

    #[inline(always)]
    fn integer_of_any_scale(self, x: f32, scale: f32) -> i32 {
        self.integer(x, scale)
    }

    const LARGE_SCALE: f32 = f32::INFINITY;

    fn limit(self) -> Option<f32> {
        None
    }
}

/// An element type of a side.
pub(crate) trait Factor: Copy + Sync {
    /// The same value as a binary32 number.
    fn widen(self) -> f32;

    /// The bits of its magnitude as a binary32 number.
    fn magnitude(self) -> u32;

    /// The elements, where they are binary32 numbers.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for what packs floats with instructions of x86-64")
    )]
    fn as_floats(elements: *const Self) -> Option<*const f32>;
}

impl Factor for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn magnitude(self) -> u32 {
        f32::from(self).to_bits() & 0x7fff_ffff
    }

    fn as_floats(_: *const Self) -> Option<*const f32> {
        None
    }
}

impl Factor for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn magnitude(self) -> u32 {
        self.to_bits() & 0x7fff_ffff
    }

    fn as_floats(elements: *const Self) -> Option<*const f32> {
        Some(elements)
    }
}

impl Factor for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        widen_bf16(self)
    }

    #[inline(always)]
    fn magnitude(self) -> u32 {
        u32::from(self.to_bits() & 0x7fff) << 16
    }

    fn as_floats(_: *const Self) -> Option<*const f32> {
        None
    }
}

impl Factor for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        widen_f16(self)
    }

    #[inline(always)]
    fn magnitude(self) -> u32 {
        widen_f16(self).to_bits() & 0x7fff_ffff
    }

    fn as_floats(_: *const Self) -> Option<*const f32> {
        None
    }
}

/// A number for each batch and free position of a side.
#[derive(Clone, Debug)]
pub(super) struct Beside<'a> {
    /// This plus an offset of each walk is a number of a view that lives for `'a`.
    first: *const f32,
    batch: Walk,
    free: Walk,
    view: PhantomData<&'a f32>,
}

// SAFETY: the numbers are read only, as the view that they are of, which threads may share.
unsafe impl Sync for Beside<'_> {}

impl<'a> Beside<'a> {
    /// Those in an array that has the side's axes: as long as they are, or of extent 1 where all positions share a number.
    pub(super) fn new<T>(array: &ArrayViewD<'a, f32>, operand: &Operand<'_, T>) -> Self {
        let [batch, free] = operand.beside(array);
        Self { first: array.as_ptr(), batch, free, view: PhantomData }
    }

    fn read(&self, batch: usize, free: &Range<usize>, into: &mut Vec<f32>) {
        let first = self.first.wrapping_offset(self.batch.offset(batch));
        into.clear();
        if self.free.stride() == Some(0) {
            // SAFETY: an element of the array, which all of the positions share.
            into.resize(free.len(), unsafe { *first });
            return;
        }
        let mut offsets = Scratch::new();
        self.free.offsets(free, &mut offsets);
        // SAFETY: walks over different axes of the array give offsets of its elements.
        into.extend(offsets.iter().map(|&offset| unsafe { *first.offset(offset) }));
    }
}

/// What positions are scaled by and rescaled by, and what is known of all of them.
#[derive(Debug)]
pub(super) struct Factors {
    pub(super) scales: Scratch<f32>,
    pub(super) inverses: Scratch<f32>,
}

impl Factors {
    pub(super) fn new() -> Self {
        Self { scales: Scratch::new(), inverses: Scratch::new() }
    }
}

/// Where the factors of positions come from.
#[derive(Clone, Debug)]
pub(super) enum Scaling<'a> {
    /// Nothing is scaled.
    None,
    /// Integers, which are rescaled only.
    Inverses(Beside<'a>),
    /// Both are given.
    Given { scales: Beside<'a>, inverses: Beside<'a> },
    /// From the largest magnitude of a position's elements, all of whose terms are contracted.
    Largest,
}

/// A side whose elements are packed as integers.
pub(super) trait Side: Sync {
    fn batch(&self) -> &Walk;
    fn free(&self) -> &Walk;
    fn contracting(&self) -> &Walk;

    /// Positions whose elements are to be read for their factors and again to be packed before those of others are: so many
    /// that they stay in a cache. None where that is nothing to hurry for.
    fn together(&self) -> Option<usize>;

    /// The factors of positions.
    fn factors(&self, isa: Isa, batch: usize, free: &Range<usize>, into: &mut Factors);

    /// All of its panels, where they were packed before.
    fn packed(&self) -> Option<&PackedSide>;

    /// Packs these terms of positions with these scales, and adds each position's integers to the sums.
    fn pack(&self, isa: Isa, layout: Layout, request: Request<'_>, packed: Packed<'_>);
}

/// What is to be packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) batch: usize,
    pub(super) free: &'a Range<usize>,
    pub(super) terms: &'a Range<usize>,
    pub(super) scales: &'a [f32],
}

/// Elements of a view, what makes integers of them, and where their factors come from.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a, T, Q> {
    pub(super) operand: &'a Operand<'a, T>,
    pub(super) quantize: Q,
    pub(super) scaling: Scaling<'a>,
    /// The same, packed before.
    pub(super) packed: Option<&'a PackedSide>,
}

/// Bytes of elements that stay in the second cache until they are read again.
const HOT: usize = 128 << 10;

/// Bytes of a line of the caches.
const LINE: usize = 64;

impl<T: Factor, Q: Quantize> Side for Elements<'_, T, Q> {
    fn batch(&self) -> &Walk {
        &self.operand.batch
    }

    fn free(&self) -> &Walk {
        &self.operand.free
    }

    fn contracting(&self) -> &Walk {
        &self.operand.contracting
    }

    fn together(&self) -> Option<usize> {
        // Where positions are neighbours their elements are better read along all of them.
        let lines = matches!(self.scaling, Scaling::Largest) && self.operand.free.innermost() != Some(1);
        let hot = (HOT / size_of::<T>() / self.contracting().len().max(1)).max(1);
        // Whole lines of a cache, wherever they go.
        let least = self.between_neighbours().map_or(1, |between| LINE / size_of::<T>() * between);
        lines.then(|| hot.max(least))
    }

    fn factors(&self, isa: Isa, batch: usize, free: &Range<usize>, into: &mut Factors) {
        match &self.scaling {
            Scaling::None => {
                into.scales.clear();
                into.inverses.clear();
                into.scales.resize(free.len(), 1.0);
                into.inverses.resize(free.len(), 1.0);
            }
            Scaling::Inverses(inverses) => {
                into.scales.clear();
                into.scales.resize(free.len(), 1.0);
                inverses.read(batch, free, &mut into.inverses);
            }
            Scaling::Given { scales, inverses } => {
                scales.read(batch, free, &mut into.scales);
                inverses.read(batch, free, &mut into.inverses);
            }
            Scaling::Largest => {
                let mut largest = Scratch::new();
                largest.clear();
                largest.resize(free.len(), 0);
                self.largest(isa, batch, free, &mut largest);
                let (scales, inverses) = (into.scales.any(free.len()), into.inverses.any(free.len()));
                let quantize = self.quantize;
                isa.run(ScalesOf { largest: &largest, quantize, scales, inverses });
            }
        }
    }

    fn packed(&self) -> Option<&PackedSide> {
        self.packed
    }

    fn pack(&self, isa: Isa, layout: Layout, request: Request<'_>, packed: Packed<'_>) {
        let Request { batch, free, terms, scales } = request;
        let (mut positions, mut term_offsets) = (Scratch::new(), Scratch::new());
        self.free().offsets(free, &mut positions);
        self.contracting().offsets(terms, &mut term_offsets);
        let first = self.operand.first.wrapping_offset(self.operand.batch.offset(batch));
        if self.between_neighbours().is_none() {
            // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
            let source = unsafe { Source::new(first, &positions, &term_offsets) };
            self.pack_from(isa, layout, source, scales, packed);
            return;
        }
        // As they lie in memory first, then word by word to where they belong.
        let lying = Lying::new(self.free(), free, &positions);
        let (mut panels, mut sums, mut scales_of) = (Scratch::new(), Scratch::new(), Scratch::new());
        panels.resize(packed.panels.len(), 0);
        sums.clear();
        sums.resize(packed.sums.len(), 0);
        scales_of.clear();
        scales_of.extend(lying.order.iter().map(|&at| scales[at as usize]));
        // SAFETY: as above.
        let source = unsafe { Source::new(first, &lying.offsets, &term_offsets) };
        self.pack_from(isa, layout, source, &scales_of, Packed { panels: &mut panels, sums: &mut sums });
        layout.reorder(&panels, &lying.order, packed.panels);
        lying.order.iter().zip(sums.iter()).for_each(|(&at, sum)| packed.sums[at as usize] += sum);
    }
}

impl<T: Factor, Q: Quantize> Elements<'_, T, Q> {
    /// How many positions there are from one to its neighbour in memory, where elements are to be read along these.
    fn between_neighbours(&self) -> Option<usize> {
        let along_terms = self.contracting().innermost() == Some(1);
        if along_terms { None } else { self.free().between_neighbours() }
    }

    /// Packs positions and terms.
    fn pack_from(&self, isa: Isa, layout: Layout, source: Source<'_, T>, scales: &[f32], packed: Packed<'_>) {
        let quantize = self.quantize;
        let is_large = scales.iter().any(|&scale| scale > Q::LARGE_SCALE);
        #[cfg(target_arch = "x86_64")]
        if let (Isa::Vnni, false, Some(limit), Some(floats)) = (isa, is_large, quantize.limit(), source.as_floats()) {
            super::avx512::pack(floats, scales, layout, limit, packed);
            return;
        }
        if is_large {
            // So rare that it is not worth being compiled for each instruction set.
            let quantize = |x: T, scale| quantize.integer_of_any_scale(x.widen(), scale);
            Pack { source, scales, layout, quantize, packed }.run();
        } else {
            let quantize = |x: T, scale| quantize.integer(x.widen(), scale);
            isa.run(Pack { source, scales, layout, quantize, packed });
        }
    }

    /// Raises the numbers of positions to the bits of their largest magnitudes.
    fn largest(&self, isa: Isa, batch: usize, free: &Range<usize>, largest: &mut [u32]) {
        let (mut positions, mut terms) = (Scratch::new(), Scratch::new());
        self.free().offsets(free, &mut positions);
        self.contracting().offsets(&(0..self.contracting().len()), &mut terms);
        let first = self.operand.first.wrapping_offset(self.batch().offset(batch));
        if self.between_neighbours().is_none() {
            // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
            let source = unsafe { Source::new(first, &positions, &terms) };
            Self::largest_from(isa, source, largest);
            return;
        }
        let lying = Lying::new(self.free(), free, &positions);
        // SAFETY: as above.
        let source = unsafe { Source::new(first, &lying.offsets, &terms) };
        let mut found = Scratch::new();
        found.clear();
        found.resize(largest.len(), 0);
        Self::largest_from(isa, source, &mut found);
        for (&at, &found) in lying.order.iter().zip(found.iter()) {
            let most = &mut largest[at as usize];
            *most = found.max(*most);
        }
    }

    fn largest_from(isa: Isa, source: Source<'_, T>, largest: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if let (Isa::Vnni, Some(floats)) = (isa, source.as_floats()) {
            super::avx512::largest(floats, largest);
            return;
        }
        let Source { first, free: positions, terms } = source;
        isa.run(Largest { first, positions, terms, most: largest });
    }
}

/// Free positions in an order in which neighbours in memory follow each other.
struct Lying {
    order: Scratch<u32>,
    offsets: Scratch<isize>,
}

impl Lying {
    /// Positions of the walk, whose offsets these are.
    fn new(walk: &Walk, positions: &Range<usize>, offsets_of: &[isize]) -> Self {
        let (mut order, mut offsets) = (Scratch::new(), Scratch::new());
        walk.along_neighbours(positions, &mut order);
        offsets.clear();
        offsets.extend(order.iter().map(|&at| offsets_of[at as usize]));
        Self { order, offsets }
    }
}

/// The scales of positions by their largest magnitudes.
pub(super) struct ScalesOf<'a, Q> {
    pub(super) largest: &'a [u32],
    pub(super) quantize: Q,
    pub(super) scales: &'a mut [f32],
    pub(super) inverses: &'a mut [f32],
}

impl<Q: Quantize> Vectorized for ScalesOf<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((&largest, scale), inverse) in self.largest.iter().zip(self.scales).zip(self.inverses) {
            [*scale, *inverse] = self.quantize.scales(largest);
        }
    }
}

/// The largest magnitude of each position's terms.
struct Largest<'a, T> {
    /// This plus an offset of a position and one of a term is an element.
    first: *const T,
    positions: &'a [isize],
    terms: &'a [isize],
    most: &'a mut [u32],
}

/// Lanes of a maximum.
const LANES: usize = 32;

impl<T: Factor> Vectorized for Largest<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { first, positions, terms, most: largest } = self;
        let run = run_length(positions);
        if run >= LANES.min(positions.len()) && run > 1 {
            // Term by term, along neighbouring positions.
            for &term in terms {
                for (positions, largest) in positions.chunks(run).zip(largest.chunks_mut(run)) {
                    // SAFETY: elements of the view, which are neighbours.
                    let elements =
                        unsafe { std::slice::from_raw_parts(first.offset(positions[0] + term), positions.len()) };
                    for (most, &x) in largest.iter_mut().zip(elements) {
                        *most = x.magnitude().max(*most);
                    }
                }
            }
            return;
        }
        let run = run_length(terms);
        for (&position, most) in positions.iter().zip(largest) {
            let mut lanes = [0; LANES];
            let mut rest = 0;
            for terms in terms.chunks(run) {
                // SAFETY: as above.
                let elements = unsafe { std::slice::from_raw_parts(first.offset(position + terms[0]), terms.len()) };
                let (groups, few) = elements.as_chunks::<LANES>();
                for group in groups {
                    for lane in 0..LANES {
                        lanes[lane] = group[lane].magnitude().max(lanes[lane]);
                    }
                }
                for &x in few {
                    rest = x.magnitude().max(rest);
                }
            }
            *most = lanes.iter().copied().fold(rest, u32::max);
        }
    }
}
