#![allow(unsafe_code, reason = "outputs are written where nothing was before")]
//! Integer products whose sums are rescaled as soon as they are whole.

use ndarray::{ArrayD, ArrayViewD};

use super::INT32_TERMS;
use super::multiply::{Multiplication, Products, Tile};
use super::packed_side::{PackedSide, Purpose};
use super::panels::least;
use super::side::{Beside, Elements, Exact, Factor, Quantize, Scaling, Side};
use super::tile::Kernel;
use crate::kernel::isa::{Isa, Vectorized};
use crate::kernel::order::Order;
use crate::kernel::outputs::{Outputs, array};
use crate::kernel::product::{Product, Terms};
use crate::kernel::small::{self, Finish};
use crate::kernel::stream::Stores;
use crate::{DimensionNumbers, lower};

/// A side of a rescaled product. What goes with its positions has its axes, of extent 1 where positions share a number.
#[derive(Debug)]
pub(crate) enum ScaledSide<'a, T, Q> {
    /// Integers, what sums are rescaled by, and the same packed, where that was done before: it is read in calls that it fits.
    Integers { values: ArrayViewD<'a, i8>, inverses: ArrayViewD<'a, f32>, packed: Option<&'a PackedSide> },
    /// Elements that become integers.
    Elements { x: ArrayViewD<'a, T>, quantize: Q, scales: Scales<'a> },
}

/// The scales by which elements become integers.
#[derive(Debug)]
pub(crate) enum Scales<'a> {
    /// These, and what sums are rescaled by.
    Given { scales: ArrayViewD<'a, f32>, inverses: ArrayViewD<'a, f32> },
    /// Those that the largest magnitude of each position's elements gives.
    Largest,
}

/// What an output is made of: the sum, converted to binary32, and what the lhs and then the rhs rescale it by.
pub(crate) trait Rescale<O>: Copy + Sync {
    /// The output, where the product of both numbers is at least [`LEAST`](Self::LEAST), or zero.
    fn output(self, sum: f32, lhs: f32, rhs: f32) -> O;

    /// The output.
    fn output_of_any(self, sum: f32, lhs: f32, rhs: f32) -> O;

    /// The outputs, where they are binary32 numbers and each is the sum, converted, times the number of the lhs and then times
    /// that of the rhs, so that the kernel can make them itself.
    fn products<'o>(self, out: &'o Outputs<'o, O>) -> Option<&'o Outputs<'o, f32>>;

    /// The smallest magnitude of a product of numbers, and of each of them, with which `output` may be asked.
    const LEAST: f32;
}

/// The rescaled product of two sides that fit `dims`, its axes in memory in this order; none where a sum could have more
/// than 32 bits.
pub(crate) fn dot_general<T: Factor, O: Copy + Default + Send + Sync>(
    isa: Isa,
    lhs: ScaledSide<'_, T, impl Quantize>,
    rhs: ScaledSide<'_, T, impl Quantize>,
    dims: &DimensionNumbers,
    order: &Order,
    rescale: impl Rescale<O>,
) -> Option<ArrayD<O>> {
    use ScaledSide::{Elements as Floats, Integers};
    let to = (isa, dims, order, rescale);
    match (lhs, rhs) {
        (Integers { values: l, inverses: left, packed: p }, Integers { values: r, inverses: right, packed: q }) => {
            product(to, (l, Exact, Numbers::Inverses(left, p)), (r, Exact, Numbers::Inverses(right, q)))
        }
        (Integers { values: l, inverses: left, packed }, Floats { x: r, quantize, scales }) => {
            product(to, (l, Exact, Numbers::Inverses(left, packed)), (r, quantize, Numbers::Scales(scales)))
        }
        (Floats { x: l, quantize, scales }, Integers { values: r, inverses: right, packed }) => {
            product(to, (l, quantize, Numbers::Scales(scales)), (r, Exact, Numbers::Inverses(right, packed)))
        }
        (Floats { x: l, quantize: p, scales: left }, Floats { x: r, quantize: q, scales: right }) => {
            product(to, (l, p, Numbers::Scales(left)), (r, q, Numbers::Scales(right)))
        }
    }
}

/// Products of integers of eight bits whose sum is less than 2^24 whatever they are, so that binary32 adds them exactly.
const FLOAT_TERMS: usize = (1 << 24) / (128 * 128);

/// Outputs of sums that are floats without a fraction.
#[derive(Clone, Copy)]
struct Whole<R> {
    rescale: R,
}

impl<O, R: Rescale<O>> Finish<f32, O> for Whole<R> {
    fn as_made(self, _: *const f32) -> Option<*const O> {
        None
    }

    fn is_usual(self, isa: Isa, numbers: [&[f32]; 2]) -> bool {
        let [left, right] = numbers.map(|numbers| least(isa, numbers));
        left.min(right).min(left * right) >= R::LEAST
    }

    #[inline(always)]
    fn finish_usual(self, sum: f32, lhs: f32, rhs: f32) -> O {
        self.rescale.output(sum, lhs, rhs)
    }

    #[inline(always)]
    fn finish(self, sum: f32, lhs: f32, rhs: f32) -> O {
        self.rescale.output_of_any(sum, lhs, rhs)
    }
}

/// What goes with the positions of a side.
enum Numbers<'a> {
    Inverses(ArrayViewD<'a, f32>, Option<&'a PackedSide>),
    Scales(Scales<'a>),
}

impl<'a> Numbers<'a> {
    fn packed(&self) -> Option<&'a PackedSide> {
        match self {
            Self::Inverses(_, packed) => *packed,
            Self::Scales(_) => None,
        }
    }

    fn beside<T>(self, operand: &crate::kernel::product::Operand<'_, T>) -> Scaling<'a> {
        match self {
            Self::Inverses(inverses, _) => Scaling::Inverses(Beside::new(&inverses, operand)),
            Self::Scales(Scales::Given { scales, inverses }) => {
                Scaling::Given { scales: Beside::new(&scales, operand), inverses: Beside::new(&inverses, operand) }
            }
            Self::Scales(Scales::Largest) => Scaling::Largest,
        }
    }
}

fn product<L: Factor, R: Factor, O: Copy + Default + Send + Sync, F: Rescale<O>>(
    (isa, dims, order, rescale): (Isa, &DimensionNumbers, &Order, F),
    (l, lhs_quantize, left): (ArrayViewD<'_, L>, impl Quantize, Numbers<'_>),
    (r, rhs_quantize, right): (ArrayViewD<'_, R>, impl Quantize, Numbers<'_>),
) -> Option<ArrayD<O>> {
    let packed = [left.packed(), right.packed()];
    let terms = packed.iter().flatten().next().map_or(Terms::Any, |packed| Terms::As(&packed.purpose.pairs));
    let product = Product::new(&l, &r, dims, terms, order);
    if product.terms() > INT32_TERMS {
        return None;
    }
    let columns = product.columns(Kernel::of(isa).lanes);
    let [p, q] = [lower::Side::Lhs, lower::Side::Rhs].map(|side| {
        let fits = |packed: &&PackedSide| packed.purpose == Purpose::new(isa, side, &product, order);
        side.of(packed[0], packed[1]).filter(fits)
    });
    let scaling = left.beside(&product.lhs);
    let lhs = Elements { operand: &product.lhs, quantize: lhs_quantize, scaling, packed: p };
    let scaling = right.beside(&product.rhs);
    let rhs = Elements { operand: &product.rhs, quantize: rhs_quantize, scaling, packed: q };
    if small::pays(&product) && product.terms() <= FLOAT_TERMS {
        // SAFETY: all outputs are written.
        return Some(unsafe {
            array(&product.shape, order, |out| {
                small::multiply(isa, &product, (&lhs, &rhs), Whole { rescale }, O::default(), out);
            })
        });
    }
    let (lhs, rhs): (&dyn Side, &dyn Side) = (&lhs, &rhs);
    // SAFETY: the tiles of a product are together all of its outputs, and each is written.
    Some(unsafe {
        array(&product.shape, order, |out| {
            let stores = Stores::of::<O>(out.len());
            let products = rescale.products(out).map(|out| Products { out, least: F::LEAST });
            let multiplication = Multiplication { isa, lhs, rhs, places: &product.places, columns, products, stores };
            finished(multiplication, product.terms(), rescale, out);
        })
    })
}

/// Writes all outputs.
fn finished<O: Copy + Default + Send + Sync, R: Rescale<O>>(
    multiplication: Multiplication<'_>,
    terms: usize,
    rescale: R,
    out: &Outputs<'_, O>,
) {
    let Multiplication { isa, columns, stores, .. } = multiplication;
    multiplication.run(&(0..terms), &|tile| {
        let is_usual = tile.least >= R::LEAST;
        // What is not usual is so rare that it is not worth being compiled for each instruction set.
        match (columns, is_usual) {
            (lower::Side::Rhs, true) => {
                isa.run(Write { tile, out, stores, output: |s, row, column| rescale.output(s, row, column) });
            }
            (lower::Side::Rhs, false) => {
                Write { tile, out, stores, output: |s, row, column| rescale.output_of_any(s, row, column) }.run();
            }
            (lower::Side::Lhs, true) => {
                isa.run(Write { tile, out, stores, output: |s, row, column| rescale.output(s, column, row) });
            }
            (lower::Side::Lhs, false) => {
                Write { tile, out, stores, output: |s, row, column| rescale.output_of_any(s, column, row) }.run();
            }
        }
    });
}

/// Outputs that are finished together.
const LANES: usize = 16;

/// Finishes the sums of a tile.
struct Write<'a, F, O> {
    tile: Tile<'a>,
    out: &'a Outputs<'a, O>,
    stores: Stores,
    /// Of a sum, converted, and the numbers of its row and its column.
    output: F,
}

impl<O: Copy + Default, F: Fn(f32, f32, f32) -> O + Copy> Vectorized for Write<'_, F, O> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { tile, out, stores, output } = self;
        let groups = tile.across.chunks(LANES).zip(tile.columns.chunks(LANES)).enumerate();
        for (group, (across, columns)) in groups {
            let together = across.len() == LANES && across[LANES - 1] - across[0] == LANES as isize - 1;
            let rows = tile.sums.chunks(tile.width).zip(tile.rows).zip(tile.offsets).zip(tile.down);
            if let (true, Ok(columns)) = (together, <&[f32; LANES]>::try_from(columns)) {
                // Places rise along columns, so that these are neighbours. Groups of a length that is known, which share no
                // memory with what they are made of, become vectors.
                for (((sums, &row), &offset), &down) in rows {
                    let sums = &sums.as_chunks::<LANES>().0[group];
                    let mut made = [O::default(); LANES];
                    for lane in 0..LANES {
                        made[lane] = output(sums[lane].wrapping_sub(offset) as f32, row, columns[lane]);
                    }
                    let start = (tile.first + down + across[0]) as usize;
                    // SAFETY: the outputs of a tile are in no other, whichever thread has it.
                    let out = unsafe { out.range(start..start + LANES) };
                    if let Some(out) = out.as_chunks_mut::<LANES>().0.first_mut() {
                        stores.put(out, made);
                    }
                }
            } else {
                for (((sums, &row), &offset), &down) in rows {
                    let sums = &sums[group * LANES..];
                    for ((&across, &column), sum) in across.iter().zip(columns).zip(sums) {
                        let made = output(sum.wrapping_sub(offset) as f32, row, column);
                        // SAFETY: as above.
                        unsafe { out.write((tile.first + down + across) as usize, made) };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::*;
    use crate::kernel::cases::{Call, Random, Values, assert_same, seeds};
    use crate::kernel::reference;

    /// The largest magnitude becomes 127, and 1 stands for a largest magnitude of zero.
    #[derive(Clone, Copy)]
    struct Usual;

    const LIMIT: f32 = 127.0;

    impl Quantize for Usual {
        fn scales(self, largest: u32) -> [f32; 2] {
            let largest = f32::from_bits(largest);
            let scale = 127.0 / if largest == 0.0 { 1.0 } else { largest };
            [scale, 1.0 / scale]
        }

        fn integer(self, x: f32, scale: f32) -> i32 {
            self.integer_of_any_scale(x, scale)
        }

        fn integer_of_any_scale(self, x: f32, scale: f32) -> i32 {
            i32::from((x * scale).clamp(-LIMIT, LIMIT).round_ties_even() as i8)
        }

        const LARGE_SCALE: f32 = f32::MAX / 8.0;

        fn limit(self) -> Option<f32> {
            Some(LIMIT)
        }
    }

    /// In one of the two ways that outputs are made.
    #[derive(Clone, Copy)]
    enum Outs {
        ByKernel,
        BySums,
    }

    impl Rescale<f32> for Outs {
        fn output(self, sum: f32, lhs: f32, rhs: f32) -> f32 {
            sum * lhs * rhs
        }

        fn output_of_any(self, sum: f32, lhs: f32, rhs: f32) -> f32 {
            sum * lhs * rhs
        }

        fn products<'o>(self, out: &'o Outputs<'o, f32>) -> Option<&'o Outputs<'o, f32>> {
            match self {
                Self::ByKernel => Some(out),
                Self::BySums => None,
            }
        }

        const LEAST: f32 = 0.0;
    }

    /// How a side is given.
    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Largest,
        Given,
        Integers,
        Packed,
    }

    impl Kind {
        const ALL: [Self; 4] = [Self::Largest, Self::Given, Self::Integers, Self::Packed];
    }

    /// The factors, scales and inverse scales of a side, of extent 1 over `axes`.
    fn quantized(x: &ArrayViewD<'_, f32>, axes: &[usize]) -> (ArrayD<i8>, ArrayD<f32>, ArrayD<f32>) {
        let mut largest = x.mapv(|x| x.to_bits() & 0x7fff_ffff);
        for &axis in axes {
            largest = largest.map_axis(Axis(axis), |all| all.iter().copied().fold(0, u32::max)).insert_axis(Axis(axis));
        }
        let [scales, inverses] = [0, 1].map(|of| largest.mapv(|bits| Usual.scales(bits)[of]));
        let spread = scales.broadcast(x.raw_dim()).unwrap();
        let integers = ndarray::Zip::from(x).and(spread).map_collect(|&x, &s| Usual.integer_of_any_scale(x, s) as i8);
        (integers, scales, inverses)
    }

    fn check(sizes: [&[usize]; 4], calls: u64) {
        let mut packings = 0;
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let call = Call::<f32>::random(&mut random, sizes, values);
            let (lhs, rhs, dims) = (call.lhs.view(), call.rhs.view(), &call.dims);
            let (left, left_scales, left_inverses) = quantized(&lhs, &dims.lhs_contracting());
            let (right, right_scales, right_inverses) = quantized(&rhs, &dims.rhs_contracting());
            let sums = reference::dot_general_int8(&left.view(), &right.view(), dims);
            // Products with the inverse scales alone put those where the sums are.
            let ones = |like: &ArrayD<f32>| ArrayD::from_elem(like.raw_dim(), 1.0_f32);
            let lhs_numbers = reference::dot_general(&left_inverses.view(), &ones(&right_inverses).view(), dims);
            let rhs_numbers = reference::dot_general(&ones(&left_inverses).view(), &right_inverses.view(), dims);
            let expected = ndarray::Zip::from(&sums)
                .and(&lhs_numbers)
                .and(&rhs_numbers)
                .map_collect(|&sum, &lhs, &rhs| sum as i32 as f32 * lhs * rhs);
            let order = Order::new(random.shuffled(expected.ndim()).into_iter().collect());
            for isa in Isa::available() {
                for outs in [Outs::ByKernel, Outs::BySums] {
                    for kind in Kind::ALL {
                        let kinds = [kind, random.pick(&Kind::ALL)];
                        // At most one of them is packed for the call; where both are, the other is not what the call takes.
                        let packed = |values: &ArrayD<i8>, inverses: &ArrayD<f32>, of: lower::Side| {
                            let other = of.of(rhs.shape(), lhs.shape());
                            PackedSide::on(isa, &values.view(), &inverses.view(), of, other, dims, &order)
                        };
                        let p = packed(&left, &left_inverses, lower::Side::Lhs);
                        let q = packed(&right, &right_inverses, lower::Side::Rhs);
                        packings += usize::from(p.is_some()) + usize::from(q.is_some());
                        let left = scaled_side(&lhs, &left, &left_scales, &left_inverses, (kinds[0], p.as_ref()));
                        let right = scaled_side(&rhs, &right, &right_scales, &right_inverses, (kinds[1], q.as_ref()));
                        let found = dot_general(isa, left, right, dims, &order, outs).unwrap();
                        let what =
                            format!("{isa:?} seed {seed} {kind:?}, {dims} on {:?} and {:?}", lhs.shape(), rhs.shape());
                        assert_same(&found, &expected, &what);
                    }
                }
            }
        }
        assert!(packings > 0 || cfg!(miri));
    }

    fn scaled_side<'a>(
        x: &'a ArrayViewD<'a, f32>,
        integers: &'a ArrayD<i8>,
        scales: &'a ArrayD<f32>,
        inverses: &'a ArrayD<f32>,
        (kind, packed): (Kind, Option<&'a PackedSide>),
    ) -> ScaledSide<'a, f32, Usual> {
        let inverses = inverses.view();
        match kind {
            Kind::Largest => ScaledSide::Elements { x: x.view(), quantize: Usual, scales: Scales::Largest },
            Kind::Given => {
                let scales = Scales::Given { scales: scales.view(), inverses };
                ScaledSide::Elements { x: x.view(), quantize: Usual, scales }
            }
            Kind::Integers => ScaledSide::Integers { values: integers.view(), inverses, packed: None },
            Kind::Packed => ScaledSide::Integers { values: integers.view(), inverses, packed },
        }
    }

    #[test]
    fn batches_are_the_definition() {
        check([&[1, 2, 3], &[1, 2, 5, 8], &[1, 3, 7, 9], &[1, 2, 5, 17]], 250);
    }

    #[test]
    fn tiles_of_every_size_are_the_definition() {
        let sizes: &[usize] = &[1, 6, 8, 15, 16, 17, 31, 32, 33, 48, 65];
        check([&[], sizes, sizes, &[1, 4, 19, 64, 70]], 120);
    }

    #[test]
    fn long_sums_are_the_definition() {
        check([&[], &[1, 3, 17], &[1, 2, 20, 50], &[255, 256, 257, 1025, 4096, 4097, 5000]], 24);
    }

    #[test]
    fn batches_of_small_products_are_the_definition() {
        check([&[15, 16, 17, 33, 70], &[1, 2, 4, 5, 8], &[1, 3, 4, 8], &[1, 2, 5, 8]], 80);
    }
}
