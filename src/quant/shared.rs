//! Scales of the elements of an array, a run of neighbours at a time.
#![allow(clippy::inline_always, reason = "a loop is compiled for an instruction set where it is inlined")]

use std::borrow::Cow;

use ndarray::ArrayViewD;
use smallvec::SmallVec;

/// Neighbours with a scale in common, or with scales that lie together, that are worth a loop of their own.
const LONG: usize = 64;

/// Scales that are shared over some axes of an array, read in the row-major order of the array.
#[derive(Debug)]
pub(super) struct SharedScales<'a> {
    scales: Cow<'a, [f32]>,
    /// Sizes of the array's axes, and how far the scales of neighbours lie apart: axes that are one for both are one here.
    outer: SmallVec<[(usize, usize); 4]>,
    /// The last of them, along which scales are shared or lie together.
    inner: (usize, Step),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Shared,
    Beside,
}

/// The scales of neighbours.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Along<'a> {
    /// One for so many.
    Shared(f32, usize),
    /// One beside each.
    Beside(&'a [f32]),
}

impl<'a> SharedScales<'a> {
    /// `scale` broadcasts to `shape`.
    pub(super) fn new(scale: &ArrayViewD<'a, f32>, shape: &[usize]) -> Self {
        let scales = scale.to_slice().map_or_else(|| Cow::Owned(scale.iter().copied().collect()), Cow::Borrowed);
        let missing = shape.len() - scale.ndim();
        let extents = std::iter::repeat_n(1, missing).chain(scale.shape().iter().copied());
        let mut axes: SmallVec<[(usize, usize); 4]> = SmallVec::new();
        let mut apart = scales.len();
        for (&size, extent) in shape.iter().zip(extents) {
            assert!(extent == 1 || extent == size, "a scale has extent 1 or that of what it scales");
            let step = if extent == 1 {
                0
            } else {
                apart /= extent.max(1);
                apart
            };
            match axes.last_mut() {
                _ if size == 1 => {}
                Some((outer, outer_step)) if *outer_step == step * size => {
                    (*outer, *outer_step) = (*outer * size, step);
                }
                _ => axes.push((size, step)),
            }
        }
        let (size, step) = axes.pop().unwrap_or((1, 0));
        let step = if step == 0 { Step::Shared } else { Step::Beside };
        Self { scales, outer: axes, inner: (size, step) }
    }

    /// Whether neighbours are so few that it is better to [`expand`](Self::expand) their scales.
    pub(super) fn are_short(&self) -> bool {
        self.inner.0 < LONG && !self.outer.is_empty()
    }

    /// The scales of the element `at` and of neighbours behind it, at most of so many.
    #[inline(always)]
    pub(super) fn along(&self, at: usize, most: usize) -> Along<'_> {
        let (size, step) = self.inner;
        let (within, mut row) = (at % size, at / size);
        let mut offset = 0;
        for &(size, step) in self.outer.iter().rev() {
            offset += row % size * step;
            row /= size;
        }
        let len = (size - within).min(most);
        match step {
            Step::Shared => Along::Shared(self.scales[offset], len),
            Step::Beside => Along::Beside(&self.scales[offset + within..][..len]),
        }
    }

    /// Writes the scales of the elements from `at` on.
    #[inline(always)]
    pub(super) fn expand(&self, at: usize, out: &mut [f32]) {
        let mut done = 0;
        while done < out.len() {
            match self.along(at + done, out.len() - done) {
                Along::Shared(scale, len) => {
                    out[done..done + len].iter_mut().for_each(|out| *out = scale);
                    done += len;
                }
                Along::Beside(scales) => {
                    out[done..done + scales.len()].copy_from_slice(scales);
                    done += scales.len();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::*;

    #[test]
    fn every_run_has_its_scales() {
        let shape = [3, 4, 1, 5];
        for shared in 0_u32..16 {
            let extents: Vec<usize> =
                (0..4).map(|axis| if shared >> axis & 1 == 1 { 1 } else { shape[axis as usize] }).collect();
            let mut next = 0.0;
            let scale = ArrayD::from_shape_simple_fn(IxDyn(&extents), || {
                next += 1.0;
                next
            });
            let reversed = scale.t().as_standard_layout().into_owned().reversed_axes();
            let all: Vec<f32> = scale.broadcast(IxDyn(&shape)).unwrap().iter().copied().collect();
            for scale in [&scale, &reversed] {
                let scale = scale.view();
                let scales = SharedScales::new(&scale, &shape);
                for start in 0..all.len() {
                    for end in start..=all.len() {
                        let mut found = vec![0.0; end - start];
                        scales.expand(start, &mut found);
                        assert_eq!(found, all[start..end], "{extents:?} from {start}");
                    }
                }
            }
        }
        let scale = ArrayD::from_elem(IxDyn(&[1, 1]), 2.0);
        let scale = scale.view();
        let scales = SharedScales::new(&scale, &[3, 100, 100]);
        assert_eq!(scales.along(7, 50_000), Along::Shared(2.0, 29_993));
    }
}
