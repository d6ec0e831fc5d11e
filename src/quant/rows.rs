//! Loops over arrays whose elements have scales, in row-major order.
//!
//! Elements are taken in runs that stay in the nearest cache while everything is done to them: copied together where
//! they lie apart, their noise drawn, scaled and stored, in loops that are compiled for the processor's instruction set.
//! Threads share the runs. What happens to an element depends on its place alone, so their number changes no bit.
#![allow(clippy::inline_always, reason = "a loop is compiled for an instruction set where it is inlined")]

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Zip};

use super::shared::{Along, SharedScales};
use crate::cancel::Pace;
use crate::kernel::{RowMajor, Vectorized, parts, vectorized};
use crate::rng::ArrayNoise;

/// Elements that everything is done to before the next ones; even, as noise asks for.
const RUN: usize = 1024;

/// Elements that are copied together at most, of either part of an array.
const COPIED: usize = 1 << 16;

/// Elements that keep a thread busy for about a tenth of a millisecond.
const LEAST: usize = 1 << 18;

/// Multiplications that take as long as an element, for which noise may have to be drawn.
const WORK: usize = 16;

/// `f` of every element, its scale and its noise, in row-major order; without noise, the last is anything. The scale
/// broadcasts to the shape of `x`.
pub(super) fn map_scaled<U: Copy + Default + Send>(
    x: &ArrayViewD<'_, f32>,
    scale: &ArrayD<f32>,
    noise: Option<&ArrayNoise>,
    f: impl Fn(f32, f32, f32) -> U + Copy + Sync,
) -> ArrayD<U> {
    map_scaled_in(vec![U::default(); x.len()], x, scale, noise, f)
}

/// The same in a vector of as many elements as there are.
pub(crate) fn map_scaled_in<U: Copy + Send>(
    mut out: Vec<U>,
    x: &ArrayViewD<'_, f32>,
    scale: &ArrayD<f32>,
    noise: Option<&ArrayNoise>,
    f: impl Fn(f32, f32, f32) -> U + Copy + Sync,
) -> ArrayD<U> {
    let scales = SharedScales::new(&scale.view(), x.shape());
    let pass = Pass { x: Some(RowMajor::new(x)), scales, noise, f: move |_, x, scale, noise| f(x, scale, noise) };
    pass.run(&mut out);
    ArrayD::from_shape_vec(IxDyn(x.shape()), out).expect("there is one for each element")
}

/// `f` of every value and its scale, in place. The scale broadcasts to the shape of the values.
pub(crate) fn update_scaled(values: &mut ArrayD<f32>, scale: &ArrayD<f32>, f: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    let order = memory_order(values);
    let shape = values.raw_dim();
    let mut values = values.view_mut().permuted_axes(&order[..]);
    let scale = scale.broadcast(shape).expect("a scale has extent 1 or that of what it scales");
    let scale = shrunk(scale).permuted_axes(&order[..]);
    let scales = SharedScales::new(&scale, values.shape());
    if let Some(values) = values.as_slice_mut() {
        Pass { x: None, scales, noise: None, f: move |value, _, scale, _| f(value, scale) }.run(values);
    } else {
        let scale = scale.broadcast(values.raw_dim()).expect("it has been");
        Zip::from(&mut values).and(&scale).for_each(|value, &scale| *value = f(*value, scale));
    }
}

/// `f` of every value, the element of `x` at its place and that element's scale, in place.
pub(super) fn update_beside(
    values: &mut ArrayD<f32>,
    x: &ArrayViewD<'_, f32>,
    scale: &ArrayD<f32>,
    f: impl Fn(f32, f32, f32) -> f32 + Copy + Sync,
) {
    let order = memory_order(values);
    let mut values = values.view_mut().permuted_axes(&order[..]);
    let (x, scale) = (x.view().permuted_axes(&order[..]), scale.view().permuted_axes(&order[..]));
    if let Some(values) = values.as_slice_mut() {
        let scales = SharedScales::new(&scale, x.shape());
        let x = Some(RowMajor::new(&x));
        Pass { x, scales, noise: None, f: move |value, x, scale, _| f(value, x, scale) }.run(values);
    } else {
        let scale = scale.broadcast(x.raw_dim()).expect("a scale has extent 1 or that of what it scales");
        Zip::from(&mut values).and(&x).and(&scale).for_each(|value, &x, &scale| *value = f(*value, x, scale));
    }
}

/// The axes in the order in which they lie in memory.
fn memory_order(array: &ArrayD<f32>) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..array.ndim()).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(array.strides()[axis].unsigned_abs()));
    axes
}

/// The same with extent 1 on axes along which it repeats itself.
fn shrunk(mut view: ArrayViewD<'_, f32>) -> ArrayViewD<'_, f32> {
    for axis in 0..view.ndim() {
        if view.strides()[axis] == 0 && view.shape()[axis] > 1 {
            view.collapse_axis(Axis(axis), 0);
        }
    }
    view
}

/// What is done to every element of an array.
struct Pass<'a, F> {
    /// None where it does not matter.
    x: Option<RowMajor<'a>>,
    scales: SharedScales<'a>,
    noise: Option<&'a ArrayNoise>,
    /// Of what is there, the element of `x`, its scale and its noise.
    f: F,
}

/// Noise of the two parts of an array. No vector of it lies across two lines of the cache.
#[repr(align(64))]
struct Drawn([[f32; RUN]; 2]);

/// Elements that one thread takes: some from a place on, and some of those that noise is drawn for together with theirs.
struct Part<'o, T> {
    start: usize,
    firsts: &'o mut [T],
    seconds: &'o mut [T],
}

impl<F> Pass<'_, F> {
    fn run<T: Copy + Send>(&self, out: &mut [T])
    where
        F: Fn(T, f32, f32, f32) -> T + Copy + Sync,
    {
        let threads = parts::threads(out.len(), LEAST);
        let middle = self.noise.map_or(out.len(), ArrayNoise::middle);
        let (mut firsts, mut seconds) = out.split_at_mut(middle);
        // A few for each thread, so that a slow one leaves some to the others.
        let pieces = if threads == 1 { 1 } else { 4 * threads };
        let parts = parts::equal(middle, pieces, self.grain()).map(|range| {
            let (first, second) = (firsts.split_off_mut(..range.len()), range.len().min(seconds.len()));
            let second = seconds.split_off_mut(..second);
            Part { start: range.start, firsts: first.unwrap_or_default(), seconds: second.unwrap_or_default() }
        });
        let apply = |x: &[f32], noise: &[f32], start, out: &mut [T]| {
            vectorized(Run { x, noise, scales: &self.scales, start, out, f: self.f });
        };
        let cut = Cut { x: self.x.as_ref(), noise: self.noise, grain: self.grain(), middle };
        parts::run(parts.collect(), |part| cut.part(part, &apply));
    }

    /// Elements that are copied together, where they have to be: an even number of runs of memory.
    fn grain(&self) -> usize {
        let together = match &self.x {
            Some(x) if x.as_slice().is_none() => x.together(),
            _ => RUN,
        };
        if together > COPIED { RUN } else { together * RUN.div_ceil(together) }
    }
}

/// What is done to a run: its elements, its noise, its place and its results.
type Apply<'f, T> = dyn Fn(&[f32], &[f32], usize, &mut [T]) + 'f;

/// How a pass is cut into runs, whatever is done to each.
struct Cut<'a> {
    x: Option<&'a RowMajor<'a>>,
    noise: Option<&'a ArrayNoise>,
    grain: usize,
    /// Where the second part of the array begins.
    middle: usize,
}

impl Cut<'_> {
    /// Does it to each run of a part.
    fn part<T>(&self, Part { start, firsts, seconds }: Part<'_, T>, apply: &Apply<'_, T>) {
        let mut copies = [Vec::new(), Vec::new()];
        let mut drawn = Drawn([[0.0; RUN]; 2]);
        let mut seconds = seconds.chunks_mut(self.grain);
        let mut pace = Pace::new();
        for (firsts, start) in firsts.chunks_mut(self.grain).zip((start..).step_by(self.grain)) {
            pace.did(2 * firsts.len() * WORK);
            let mut parts = [(start, firsts), (self.middle + start, seconds.next().unwrap_or_default())];
            let mut copies = copies.iter_mut();
            let x = parts.each_ref().map(|(start, out)| {
                let copy = copies.next().expect("there are two");
                self.x.map(|x| elements(x, *start, out.len(), copy))
            });
            for at in (0..parts[0].1.len()).step_by(RUN) {
                let ranges = parts.each_ref().map(|(_, out)| at.min(out.len())..(at + RUN).min(out.len()));
                if let Some(noise) = self.noise {
                    let Drawn([firsts, seconds]) = &mut drawn;
                    noise.fill(start + at, &mut firsts[..ranges[0].len()], &mut seconds[..ranges[1].len()]);
                }
                for (((start, out), x), (range, noise)) in parts.iter_mut().zip(x).zip(ranges.into_iter().zip(&drawn.0))
                {
                    // What takes no notice of one of them gets anything of the same length.
                    let noise = &noise[..range.len()];
                    let x = x.map_or(noise, |x| &x[range.clone()]);
                    apply(x, noise, *start + range.start, &mut out[range]);
                }
            }
        }
    }
}

/// So many elements from `start` on: where they lie, or in a copy.
fn elements<'c>(x: &RowMajor<'c>, start: usize, len: usize, copy: &'c mut Vec<f32>) -> &'c [f32] {
    if let Some(all) = x.as_slice() {
        // Of the second part of an array there may be fewer, and none.
        return all.get(start..start + len).unwrap_or_default();
    }
    if copy.len() < len {
        copy.resize(len, 0.0);
    }
    if len > 0 {
        x.copy(start, &mut copy[..len]);
    }
    &copy[..len]
}

/// A few elements, all in the nearest cache.
struct Run<'a, T, F> {
    x: &'a [f32],
    noise: &'a [f32],
    scales: &'a SharedScales<'a>,
    /// The place of the first of them.
    start: usize,
    out: &'a mut [T],
    f: F,
}

impl<T: Copy, F: Fn(T, f32, f32, f32) -> T + Copy> Vectorized for Run<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, noise, scales, start, out, f } = self;
        if scales.are_short() {
            let mut expanded = [0.0; RUN];
            scales.expand(start, &mut expanded[..out.len()]);
            beside(x, noise, &expanded, out, f);
            return;
        }
        let mut at = 0;
        while at < out.len() {
            let along = scales.along(start + at, out.len() - at);
            let len = match along {
                Along::Shared(_, len) => len,
                Along::Beside(scales) => scales.len(),
            };
            let range = at..at + len;
            let (x, noise, out) = (&x[range.clone()], &noise[range.clone()], &mut out[range]);
            match along {
                Along::Shared(scale, _) => {
                    for ((out, &x), &noise) in out.iter_mut().zip(x).zip(noise) {
                        *out = f(*out, x, scale, noise);
                    }
                }
                Along::Beside(scales) => beside(x, noise, scales, out, f),
            }
            at += len;
        }
    }
}

#[inline(always)]
fn beside<T: Copy>(x: &[f32], noise: &[f32], scales: &[f32], out: &mut [T], f: impl Fn(T, f32, f32, f32) -> T) {
    for (((out, &x), &noise), &scale) in out.iter_mut().zip(x).zip(noise).zip(scales) {
        *out = f(*out, x, scale, noise);
    }
}
