#![allow(unsafe_code, reason = "outputs are written where nothing was before")]
//! Integer products whose sums are scaled to floats as soon as they are whole.

use std::mem::MaybeUninit;

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::INT32_TERMS;
use super::multiply::{Line, Rows, Scales, Tile, multiply, rows_of};
use super::side::{Elements, Side};
use crate::DimensionNumbers;
use crate::kernel::isa::{Isa, Vectorized};
use crate::kernel::outputs::{Outputs, filled};
use crate::kernel::product::Product;
use crate::kernel::scratch::Scratch;

/// A side of a scaled product.
#[derive(Debug)]
pub(crate) struct ScaledSide<'a, Q> {
    pub(crate) elements: ScaledElements<'a, Q>,
    /// What sums are finished with, for each position.
    pub(crate) inverses: Scales<'a>,
}

/// The elements of a side.
#[derive(Debug)]
pub(crate) enum ScaledElements<'a, Q> {
    Integers(ArrayViewD<'a, i8>),
    /// Floats, their positions' scales, and what makes an integer of eight bits of the two.
    Floats(ArrayViewD<'a, f32>, Scales<'a>, Q),
}

/// For integers, which need none.
const NONE: Scales<'_> = Scales::Shared(1.0);

/// `finish(sum, inverse of the lhs position, inverse of the rhs position)` at every output; none where a sum could have more
/// than 32 bits.
pub(crate) fn dot_general(
    isa: Isa,
    lhs: ScaledSide<'_, impl Fn(f32, f32) -> i32 + Copy + Sync>,
    rhs: ScaledSide<'_, impl Fn(f32, f32) -> i32 + Copy + Sync>,
    dims: &DimensionNumbers,
    finish: impl Fn(i32, f32, f32) -> f32 + Copy + Sync,
) -> Option<ArrayD<f32>> {
    use ScaledElements::{Floats, Integers};
    fn exact(integer: i8, _: f32) -> i32 {
        i32::from(integer)
    }
    let inverses = [lhs.inverses, rhs.inverses];
    match (lhs.elements, rhs.elements) {
        (Integers(l), Integers(r)) => product(isa, (&l, NONE, exact), (&r, NONE, exact), inverses, dims, finish),
        (Integers(l), Floats(r, scales, q)) => product(isa, (&l, NONE, exact), (&r, scales, q), inverses, dims, finish),
        (Floats(l, scales, q), Integers(r)) => product(isa, (&l, scales, q), (&r, NONE, exact), inverses, dims, finish),
        (Floats(l, left, p), Floats(r, right, q)) => {
            product(isa, (&l, left, p), (&r, right, q), inverses, dims, finish)
        }
    }
}

fn product<L: Copy + Sync, R: Copy + Sync>(
    isa: Isa,
    (lhs, lhs_scales, lhs_quantize): (&ArrayViewD<'_, L>, Scales<'_>, impl Fn(L, f32) -> i32 + Copy + Sync),
    (rhs, rhs_scales, rhs_quantize): (&ArrayViewD<'_, R>, Scales<'_>, impl Fn(R, f32) -> i32 + Copy + Sync),
    inverses: [Scales<'_>; 2],
    dims: &DimensionNumbers,
    finish: impl Fn(i32, f32, f32) -> f32 + Copy + Sync,
) -> Option<ArrayD<f32>> {
    let product = Product::new(lhs, rhs, dims);
    if product.terms() > INT32_TERMS {
        return None;
    }
    let lhs = Elements { operand: &product.lhs, quantize: lhs_quantize };
    let rhs = Elements { operand: &product.rhs, quantize: rhs_quantize };
    let sides: [(&dyn Side, _); 2] = [(&lhs, lhs_scales), (&rhs, rhs_scales)];
    // SAFETY: the tiles of a product are together all of its outputs, and each was written.
    let out = unsafe { filled(product.outputs(), |out| finished(isa, sides, inverses, product.terms(), finish, out)) };
    Some(ArrayD::from_shape_vec(IxDyn(&product.shape), out).expect("one output per index"))
}

fn finished(
    isa: Isa,
    sides: [(&dyn Side, Scales<'_>); 2],
    inverses: [Scales<'_>; 2],
    terms: usize,
    finish: impl Fn(i32, f32, f32) -> f32 + Copy + Sync,
    out: &Outputs<'_, f32>,
) {
    let [m, n] = sides.map(|(side, _)| side.free().len());
    let [rows, columns] = match rows_of(isa, m, n) {
        Rows::Lhs => [(inverses[0], m), (inverses[1], n)],
        Rows::Rhs => [(inverses[1], n), (inverses[0], m)],
    };
    multiply(isa, sides, &(0..terms), &|tile| {
        let (mut row_inverses, mut column_inverses) = (Scratch::new(), Scratch::new());
        let positions = |count: usize, free: &std::ops::Range<usize>| {
            tile.batch * count + free.start..tile.batch * count + free.end
        };
        rows.0.of(positions(rows.1, tile.rows), &mut row_inverses);
        columns.0.of(positions(columns.1, tile.columns), &mut column_inverses);
        let inverses = [row_inverses.as_slice(), column_inverses.as_slice()];
        match rows_of(isa, m, n) {
            Rows::Lhs => isa.run(Write { tile: &tile, inverses, finish, out }),
            Rows::Rhs => {
                isa.run(Write { tile: &tile, inverses, finish: |sum, row, column| finish(sum, column, row), out });
            }
        }
    });
}

/// Outputs that are finished together.
const LANES: usize = 16;

/// Finishes the sums of a tile.
struct Write<'a, F> {
    tile: &'a Tile<'a>,
    /// Of the rows and of the columns.
    inverses: [&'a [f32]; 2],
    finish: F,
    out: &'a Outputs<'a, f32>,
}

impl<F: Fn(i32, f32, f32) -> f32 + Copy> Vectorized for Write<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { tile, inverses: [rows, columns], finish, out } = self;
        for (Line { sums, offset, start, step }, &row) in tile.lines().zip(rows) {
            if step == 1 {
                // SAFETY: the outputs of a line are in no other, whichever thread has it.
                let out = unsafe { out.range(start..start + columns.len()) };
                let (wide_out, rest) = out.as_chunks_mut::<LANES>();
                let done = wide_out.len() * LANES;
                // Groups of a length that is known, which share no memory with what they are made of, become vectors.
                for ((out, sums), columns) in
                    wide_out.iter_mut().zip(sums.as_chunks::<LANES>().0).zip(columns.as_chunks::<LANES>().0)
                {
                    let mut made = [MaybeUninit::new(0.0); LANES];
                    for lane in 0..LANES {
                        made[lane] = MaybeUninit::new(finish(sums[lane].wrapping_sub(offset), row, columns[lane]));
                    }
                    *out = made;
                }
                for ((out, sum), &column) in rest.iter_mut().zip(&sums[done..]).zip(&columns[done..]) {
                    out.write(finish(sum.wrapping_sub(offset), row, column));
                }
            } else {
                for ((at, sum), &column) in (start..).step_by(step).zip(sums).zip(columns) {
                    // SAFETY: as above.
                    unsafe { out.write(at, finish(sum.wrapping_sub(offset), row, column)) };
                }
            }
        }
    }
}
