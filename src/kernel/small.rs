#![allow(unsafe_code, reason = "reads and writes through the offsets of walks, and vector registers")]
//! Batches of small products: a batch position in each lane.
//!
//! Of matrices that have fewer elements than a vector or two there is nothing to pack and little to reuse. Sixteen batch
//! positions are read side by side instead, so that everything that happens to an element happens to sixteen at once:
//! scaling, multiplying and rescaling. A product of integers of eight bits is exact in binary32 as long as its sum is less
//! than 2^24, so that the same multiplications serve both.

use std::ops::Range;

use super::BLOCK;
use super::element::Real;
use super::isa::{Isa, Vectorized};
use super::lanes::{Accumulator, Lanes};
use super::outputs::Outputs;
use super::parts;
use super::product::{Operand, Product};
use super::scratch::Scratch;
use super::stream::fetch;
use super::walk::Walk;
use crate::cancel::Pace;

/// Batch positions that are computed together.
pub(super) const TOGETHER: usize = 16;

/// A number of each batch position.
pub(super) type Group<S> = [S; TOGETHER];

/// Elements of a side at most: so few that those of sixteen batch positions stay in the first cache.
const ELEMENTS: usize = 512;

/// Multiplications at a batch position at most.
const MULTIPLICATIONS: usize = 1 << 11;

/// Elements that keep a thread busy for about a tenth of a millisecond.
const LEAST: usize = 1 << 18;

/// What becomes of the elements of a side before they are multiplied.
pub(super) trait Prepare<T, S>: Sync {
    /// An element in the type that is multiplied.
    fn widen(&self, x: T) -> S;

    /// The elements, where they are of that type.
    fn as_wide(&self, elements: *const T) -> Option<*const S>;

    /// Changes the elements of these batch positions, for each term that of every free position, and gives each free position
    /// the number that its sums are rescaled by.
    fn prepare(
        &self,
        isa: Isa,
        batch: &Range<usize>,
        elements: &mut [Group<S>],
        numbers: &mut [Group<S>],
        room: &mut Room,
    );
}

/// Memory for what is computed on the way to the numbers of positions.
pub(super) struct Room {
    pub(super) scales: Scratch<f32>,
    pub(super) largest: Scratch<u32>,
}

/// What becomes of sums.
pub(super) trait Finish<S, O>: Copy + Sync {
    /// Whether none of the outputs that these numbers of both sides make needs more than the usual care.
    fn is_usual(self, isa: Isa, numbers: [&[S]; 2]) -> bool;

    /// The sums, where they are the outputs.
    fn as_made(self, sums: *const S) -> Option<*const O>;

    /// The output of a sum and the numbers of its lhs and its rhs position, which are usual ones.
    fn finish_usual(self, sum: S, lhs: S, rhs: S) -> O;

    /// The same of any numbers.
    fn finish(self, sum: S, lhs: S, rhs: S) -> O;
}

/// Whether matrices are so small, and so many, that they are computed side by side.
pub(super) fn pays<L, R>(product: &Product<'_, L, R>) -> bool {
    let (m, n, k) = (product.lhs.free.len(), product.rhs.free.len(), product.terms());
    product.lhs.batch.len() >= TOGETHER
        && m.saturating_mul(k) <= ELEMENTS
        && n.saturating_mul(k) <= ELEMENTS
        && (1..=MULTIPLICATIONS).contains(&(m * n * k))
        && k <= BLOCK
}

/// Writes all outputs of a product of small matrices; `any` is any output.
pub(super) fn multiply<L: Copy + Sync, R: Copy + Sync, S: Accumulator, O: Copy + Send + Sync>(
    isa: Isa,
    product: &Product<'_, L, R>,
    (lhs, rhs): (&impl Prepare<L, S>, &impl Prepare<R, S>),
    finish: impl Finish<S, O>,
    any: O,
    out: &Outputs<'_, O>,
) {
    let [m, n, k] = [product.lhs.free.len(), product.rhs.free.len(), product.terms()];
    let batch = product.lhs.batch.len();
    let threads = parts::threads(batch.saturating_mul(m * k + n * k + m * n), LEAST);
    let pieces = if threads == 1 { 1 } else { 4 * threads };
    let elements = (Elements::new(&product.lhs), Elements::new(&product.rhs));
    let places = Places::new(product);
    parts::run(parts::equal(batch, pieces, TOGETHER).collect(), |piece: Range<usize>| {
        let mut scratch = Scratch::<S>::new();
        let groups = scratch.any((m * k + n * k + m + 2 * n + m * n) * TOGETHER).as_chunks_mut::<TOGETHER>().0;
        let (left, groups) = groups.split_at_mut(m * k);
        let (right, groups) = groups.split_at_mut(n * k);
        let (left_numbers, groups) = groups.split_at_mut(m);
        let (right_numbers, groups) = groups.split_at_mut(n);
        let (repeated, sums) = groups.split_at_mut(n);
        let mut made = vec![[any; TOGETHER]; m * n];
        let mut room = Room { scales: Scratch::new(), largest: Scratch::new() };
        let mut pace = Pace::new();
        for batch in parts::cuts(&piece, TOGETHER) {
            pace.did((m * k + n * k + m * n * k) * TOGETHER);
            elements.0.read(isa, &product.lhs, lhs, &batch, left);
            elements.1.read(isa, &product.rhs, rhs, &batch, right);
            lhs.prepare(isa, &batch, left, left_numbers, &mut room);
            rhs.prepare(isa, &batch, right, right_numbers, &mut room);
            // SAFETY: the instruction set was detected, and there are groups of as many elements and sums.
            unsafe {
                let (left, right, sums) = (left.as_ptr().cast(), right.as_ptr().cast(), sums.as_mut_ptr().cast());
                match isa {
                    Isa::Portable => portable::<S>(left, right, [m, n, k], sums),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 | Isa::AvxVnni => avx2::<S>(left, right, [m, n, k], sums),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 | Isa::Vnni => avx512::<S>(left, right, [m, n, k], sums),
                    #[cfg(target_arch = "aarch64")]
                    Isa::Neon | Isa::DotProd => neon::<S>(left, right, [m, n, k], sums),
                }
            }
            let numbers = [&*left_numbers, &*right_numbers];
            let (places, batch) = (&places, &batch);
            if let Some(made) = finish.as_made(sums.as_ptr().cast()) {
                // SAFETY: the sums, which are as many outputs.
                let made = unsafe { std::slice::from_raw_parts(made.cast(), sums.len()) };
                isa.run(Write { isa, made, places, batch, out });
                continue;
            }
            let left = &mut *repeated;
            if finish.is_usual(isa, numbers.map(<[Group<S>]>::as_flattened)) {
                let finish = |sum, lhs, rhs| finish.finish_usual(sum, lhs, rhs);
                isa.run(Make { sums, numbers, finish, made: &mut made, left });
            } else {
                let finish = |sum, lhs, rhs| finish.finish(sum, lhs, rhs);
                isa.run(Make { sums, numbers, finish, made: &mut made, left });
            }
            isa.run(Write { isa, made: &made, places, batch, out });
        }
    });
}

/// Where the elements of a side lie, in the order in which they are multiplied.
struct Elements {
    /// As they lie in memory, sixteen by sixteen.
    blocks: Vec<Block>,
    /// The group that each of them goes to.
    groups: Vec<usize>,
}

/// Up to sixteen elements of a batch position.
struct Block {
    offsets: Vec<isize>,
    /// Whether they are sixteen neighbours.
    is_line: bool,
}

impl Elements {
    fn new<T>(operand: &Operand<'_, T>) -> Self {
        let (mut free, mut terms) = (Scratch::new(), Scratch::new());
        operand.free.offsets(&(0..operand.free.len()), &mut free);
        operand.contracting.offsets(&(0..operand.contracting.len()), &mut terms);
        let all = terms.iter().flat_map(|term| free.iter().map(move |free| free + term));
        let mut lying: Vec<(isize, usize)> = all.zip(0..).collect();
        lying.sort_unstable();
        let (offsets, groups): (Vec<isize>, _) = lying.into_iter().unzip();
        let block = |offsets: &[isize]| {
            let is_line = offsets.len() == TOGETHER && offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
            Block { offsets: offsets.into(), is_line }
        };
        Self { blocks: offsets.chunks(TOGETHER).map(block).collect(), groups }
    }

    /// Reads the elements of up to sixteen batch positions; those that are missing are the last one over again.
    fn read<T: Copy, S: Accumulator>(
        &self,
        isa: Isa,
        operand: &Operand<'_, T>,
        prepare: &impl Prepare<T, S>,
        batch: &Range<usize>,
        into: &mut [Group<S>],
    ) {
        let first = lanes(&operand.batch, batch).map(|offset| operand.first.wrapping_offset(offset));
        let next = operand.batch.stride().map_or(0, |stride| stride * TOGETHER as isize);
        let widen = |x| prepare.widen(x);
        let as_wide = |x| prepare.as_wide(x);
        isa.run(Read { isa, elements: self, first, next, widen, as_wide, into });
    }
}

/// The offsets of up to sixteen positions.
fn lanes(walk: &Walk, batch: &Range<usize>) -> [isize; TOGETHER] {
    let mut offsets = [0; TOGETHER];
    for (lane, offset) in offsets.iter_mut().enumerate() {
        let position = (batch.start + lane).min(batch.end - 1);
        *offset = walk.stride().map_or_else(|| walk.offset(position), |stride| position as isize * stride);
    }
    offsets
}

struct Read<'a, T, S, W, A> {
    isa: Isa,
    elements: &'a Elements,
    /// These plus any of the offsets are elements of a view.
    first: [*const T; TOGETHER],
    /// How far from them those of the next sixteen positions may lie.
    next: isize,
    widen: W,
    /// The elements, where they are of the type that is multiplied.
    as_wide: A,
    into: &'a mut [Group<S>],
}

impl<T: Copy, S: Copy, W: Fn(T) -> S, A: Fn(*const T) -> Option<*const S>> Vectorized for Read<'_, T, S, W, A> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { isa, elements: Elements { blocks, groups }, first, next, widen, as_wide, into } = self;
        let is_batch = first.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        for (Block { offsets, is_line }, groups) in blocks.iter().zip(groups.chunks(TOGETHER)) {
            if is_batch {
                for (&offset, &group) in offsets.iter().zip(groups) {
                    // SAFETY: elements of the view, which are neighbours.
                    let line = unsafe { *first[0].wrapping_offset(offset).cast::<[T; TOGETHER]>() };
                    for (to, &x) in into[group].iter_mut().zip(&line) {
                        *to = widen(x);
                    }
                }
            } else if *is_line {
                for first in first {
                    fetch(first.wrapping_offset(offsets[0] + next));
                }
                assert!(groups.len() == TOGETHER && groups.iter().all(|&group| group < into.len()));
                let to = into.as_mut_ptr();
                let to = |at: usize| to.wrapping_add(groups[at]).cast::<S>();
                if as_wide(first[0]).is_some() {
                    let from = |lane: usize| first[lane].wrapping_offset(offsets[0]).cast::<S>();
                    // SAFETY: elements of the view, which are neighbours, and groups, each of them once.
                    unsafe { transpose(isa, from, to) };
                    continue;
                }
                // SAFETY: elements of the view, which are neighbours.
                let line = |lane: usize| unsafe { *first[lane].wrapping_offset(offsets[0]).cast::<[T; TOGETHER]>() };
                let mut block = [[widen(line(0)[0]); TOGETHER]; TOGETHER];
                for (lane, block) in block.iter_mut().enumerate() {
                    let line = line(lane);
                    for (to, &x) in block.iter_mut().zip(&line) {
                        *to = widen(x);
                    }
                }
                // SAFETY: as above.
                unsafe { transpose(isa, |lane| block[lane].as_ptr(), to) };
            } else {
                for (&offset, &group) in offsets.iter().zip(groups) {
                    for (to, first) in into[group].iter_mut().zip(first) {
                        // SAFETY: an element of the view.
                        *to = widen(unsafe { *first.wrapping_offset(offset) });
                    }
                }
            }
        }
    }
}

/// Exchanges rows and columns of sixteen elements.
///
/// # Safety
///
/// Behind the pointers to each row and column are so many elements, those of columns nobody else's.
#[inline(always)]
unsafe fn transpose<E: Copy>(isa: Isa, rows: impl Fn(usize) -> *const E, columns: impl Fn(usize) -> *mut E) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction set was detected, and elements of four bytes are moved about as if they were floats.
        Isa::Avx512 | Isa::Vnni if size_of::<E>() == size_of::<f32>() => unsafe {
            super::x86::transpose(|row| rows(row).cast(), |column| columns(column).cast());
        },
        _ => {
            for at in 0..TOGETHER {
                for lane in 0..TOGETHER {
                    // SAFETY: the caller vouches for the elements.
                    unsafe { *columns(at).add(lane) = *rows(lane).add(at) };
                }
            }
        }
    }
}

/// Where outputs lie.
struct Places {
    batch: Walk,
    /// Those of a batch position from its first, lhs position by lhs position.
    outputs: Vec<isize>,
}

impl Places {
    fn new<L, R>(product: &Product<'_, L, R>) -> Self {
        let (mut down, mut across) = (Scratch::new(), Scratch::new());
        product.places.lhs.offsets(&(0..product.lhs.free.len()), &mut down);
        product.places.rhs.offsets(&(0..product.rhs.free.len()), &mut across);
        let outputs = down.iter().flat_map(|down| across.iter().map(move |across| down + across)).collect();
        Self { batch: product.places.batch.clone(), outputs }
    }
}

/// Makes outputs of sums.
struct Make<'a, S, O, F> {
    sums: &'a [Group<S>],
    numbers: [&'a [Group<S>]; 2],
    finish: F,
    /// For as many outputs as there are sums, and for as many numbers as the rhs has positions.
    made: &'a mut [Group<O>],
    left: &'a mut [Group<S>],
}

impl<S: Copy, O: Copy, F: Fn(S, S, S) -> O> Vectorized for Make<'_, S, O, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sums, numbers: [lhs, rhs], finish, made, left } = self;
        // Loops over whole rows of the output become vectors.
        for ((sums, made), number) in sums.chunks(rhs.len()).zip(made.chunks_mut(rhs.len())).zip(lhs) {
            left.fill(*number);
            let numbers = left.as_flattened().iter().zip(rhs.as_flattened());
            for ((made, &sum), (&lhs, &rhs)) in made.as_flattened_mut().iter_mut().zip(sums.as_flattened()).zip(numbers)
            {
                *made = finish(sum, lhs, rhs);
            }
        }
    }
}

/// Writes outputs where they belong.
struct Write<'a, O> {
    isa: Isa,
    made: &'a [Group<O>],
    places: &'a Places,
    batch: &'a Range<usize>,
    out: &'a Outputs<'a, O>,
}

impl<O: Copy> Vectorized for Write<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { isa, made, places, batch, out } = self;
        let first = lanes(&places.batch, batch);
        let count = batch.len();
        let neighbours = count == TOGETHER && first.windows(2).all(|pair| pair[1] == pair[0] + 1);
        for (places, made) in places.outputs.chunks(TOGETHER).zip(made.chunks(TOGETHER)) {
            let together = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
            if neighbours {
                for (place, made) in places.iter().zip(made) {
                    // SAFETY: outputs of these batch positions, which this thread alone has.
                    unsafe { put(out, place + first[0], made) };
                }
            } else if together && count == TOGETHER && made.len() == TOGETHER {
                let to = |lane: usize| {
                    let start = (places[0] + first[lane]) as usize;
                    out.pointer(start..start + TOGETHER)
                };
                // SAFETY: as above.
                unsafe { transpose(isa, |group| made[group].as_ptr(), to) };
            } else {
                for (place, made) in places.iter().zip(made) {
                    for (first, &made) in first.iter().zip(made).take(count) {
                        // SAFETY: as above.
                        unsafe { out.write((place + first) as usize, made) };
                    }
                }
            }
        }
    }
}

/// Writes neighbouring outputs.
///
/// # Safety
///
/// Nobody else reaches them meanwhile.
#[inline(always)]
unsafe fn put<O: Copy>(out: &Outputs<'_, O>, start: isize, made: &[O; TOGETHER]) {
    // SAFETY: the caller vouches for it.
    let out = unsafe { out.range(start as usize..start as usize + TOGETHER) };
    for lane in 0..TOGETHER {
        out[lane].write(made[lane]);
    }
}

/// All sums of sixteen batch positions: in each lane a chain of fused multiply-adds from zero.
#[inline(always)]
unsafe fn products<V: Lanes>(left: *const V::Sum, right: *const V::Sum, [m, n, k]: [usize; 3], sums: *mut V::Sum) {
    for i in (0..m).step_by(4) {
        for j in (0..n).step_by(4) {
            for lane in (0..TOGETHER).step_by(V::LANES) {
                let at = |base: *const V::Sum, position: usize| base.wrapping_add(position * TOGETHER + lane);
                let to = sums.wrapping_add((i * n + j) * TOGETHER + lane);
                // SAFETY: the caller vouches for the instruction set and for groups of as many elements and sums.
                unsafe {
                    if i + 4 <= m && j + 4 <= n {
                        block::<V, 4, 4>(at(left, i), at(right, j), [m, n, k], to);
                    } else {
                        for down in 0..(m - i).min(4) {
                            for across in 0..(n - j).min(4) {
                                let to = to.wrapping_add((down * n + across) * TOGETHER);
                                block::<V, 1, 1>(at(left, i + down), at(right, j + across), [m, n, k], to);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The sums of some positions of both sides, of which each term has a group for every position.
#[inline(always)]
unsafe fn block<V: Lanes, const DOWN: usize, const ACROSS: usize>(
    left: *const V::Sum,
    right: *const V::Sum,
    [m, n, k]: [usize; 3],
    to: *mut V::Sum,
) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        let mut sums = [[V::zero(); ACROSS]; DOWN];
        for term in 0..k {
            let across: [V::Factors; ACROSS] =
                std::array::from_fn(|across| V::factors(right.add((term * n + across) * TOGETHER)));
            for (down, sums) in sums.iter_mut().enumerate() {
                let left = V::factors(left.add((term * m + down) * TOGETHER));
                for (sum, right) in sums.iter_mut().zip(across) {
                    *sum = sum.mul_add(left, right);
                }
            }
        }
        for (down, sums) in sums.into_iter().enumerate() {
            for (across, sum) in sums.into_iter().enumerate() {
                sum.store(to.add((down * n + across) * TOGETHER));
            }
        }
    }
}

macro_rules! compiled {
    ($($name:ident = $lanes:ident $(on $arch:literal with $features:literal)?),*) => {$(
        $(#[cfg(target_arch = $arch)] #[target_feature(enable = $features)])?
        unsafe fn $name<S: Accumulator>(left: *const S, right: *const S, sizes: [usize; 3], sums: *mut S) {
            // SAFETY: the caller's promise, passed on.
            unsafe { products::<S::$lanes>(left, right, sizes, sums) }
        }
    )*};
}

compiled!(
    portable = Portable,
    avx2 = Avx2 on "x86_64" with "avx2,fma",
    avx512 = Avx512 on "x86_64" with "avx512f,avx512bw",
    neon = Neon on "aarch64" with "neon"
);

/// Float elements, which are multiplied as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl<T: Real> Prepare<T, T::Wide> for Plain {
    #[inline(always)]
    fn widen(&self, x: T) -> T::Wide {
        x.widen()
    }

    fn as_wide(&self, elements: *const T) -> Option<*const T::Wide> {
        T::as_wide(elements)
    }

    fn prepare(&self, _: Isa, _: &Range<usize>, _: &mut [Group<T::Wide>], _: &mut [Group<T::Wide>], _: &mut Room) {}
}

impl<S: Copy, O: Real<Wide = S>> Finish<S, O> for Plain {
    fn as_made(self, sums: *const S) -> Option<*const O> {
        O::as_wide(std::ptr::null()).is_some().then(|| sums.cast())
    }

    fn is_usual(self, _: Isa, _: [&[S]; 2]) -> bool {
        true
    }

    #[inline(always)]
    fn finish_usual(self, sum: S, _: S, _: S) -> O {
        O::narrow(sum)
    }

    #[inline(always)]
    fn finish(self, sum: S, _: S, _: S) -> O {
        O::narrow(sum)
    }
}
