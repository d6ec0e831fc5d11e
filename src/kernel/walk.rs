//! Strided axes flattened to one counter.

use std::ops::Range;

use ndarray::{ArrayViewD, Axis};
use smallvec::SmallVec;

/// Axes of a view flattened in listed order, last fastest; axes that lie as one in memory are one here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    axes: SmallVec<[(usize, isize); 4]>,
    len: usize,
}

/// Elements that lie together at least for it to be worth to go along them.
const NEIGHBOURS: usize = 8;

impl Walk {
    /// Over the listed axes of a view.
    pub(super) fn new<T>(view: &ArrayViewD<'_, T>, listed: &[usize]) -> Self {
        Self::of(listed.iter().map(|&axis| (view.len_of(Axis(axis)), view.stride_of(Axis(axis)))))
    }

    /// Over the listed axes of a view as if they had these sizes: an axis of extent 1 is repeated.
    pub(super) fn spread<T>(view: &ArrayViewD<'_, T>, listed: &[usize], sizes: &[usize]) -> Self {
        Self::of(listed.iter().zip(sizes).map(|(&axis, &size)| match view.len_of(Axis(axis)) {
            1 => (size, 0),
            len => {
                // Not only a debug assertion: elements are read through these offsets.
                assert_eq!(len, size, "an array beside a side has its extents or 1");
                (size, view.stride_of(Axis(axis)))
            }
        }))
    }

    /// Over axes of these sizes and strides.
    pub(super) fn of(listed: impl Iterator<Item = (usize, isize)>) -> Self {
        let mut axes: SmallVec<[(usize, isize); 4]> = SmallVec::new();
        let mut len: usize = 1;
        for (size, stride) in listed {
            len = len.checked_mul(size).expect("the caller's arrays fit in the address space");
            match axes.last_mut() {
                _ if size == 1 => {}
                Some((outer, outer_stride)) if *outer_stride == stride * size as isize => {
                    (*outer, *outer_stride) = (*outer * size, stride);
                }
                _ => axes.push((size, stride)),
            }
        }
        Self { axes, len }
    }

    /// Positions in the walk.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The distance between neighbours, if it is the same all along.
    pub(super) fn stride(&self) -> Option<isize> {
        match self.axes.as_slice() {
            [] => Some(0),
            [(_, stride)] => Some(*stride),
            _ => None,
        }
    }

    /// The distance between neighbours along the fastest axis, if there is more than one position.
    pub(super) fn innermost(&self) -> Option<isize> {
        self.axes.last().map(|axis| axis.1)
    }

    /// The axis along which neighbours in memory lie, where it is not the fastest one, and how many positions there are from
    /// one of them to the next.
    fn crossing(&self) -> Option<(usize, usize)> {
        let (_, slower) = self.axes.split_last()?;
        let axis = slower.iter().position(|&(size, stride)| stride == 1 && size >= NEIGHBOURS)?;
        Some((axis, self.axes[axis + 1..].iter().map(|axis| axis.0).product()))
    }

    /// How many positions there are from one to its neighbour in memory, where that is not the next one and there are at least
    /// a few of them.
    pub(super) fn between_neighbours(&self) -> Option<usize> {
        self.crossing().map(|(_, between)| between)
    }

    /// Replaces `order` by these positions, counted from their first, so that neighbours in memory follow each other wherever
    /// [`between_neighbours`](Self::between_neighbours) knows of any.
    pub(super) fn along_neighbours(&self, positions: &Range<usize>, order: &mut Vec<u32>) {
        debug_assert!(positions.end <= self.len);
        let (size, between) = self.crossing().map_or((1, 1), |(axis, between)| (self.axes[axis].0, between));
        let block = size * between;
        order.clear();
        for first in (positions.start / block * block..positions.end).step_by(block) {
            let lines =
                (positions.start.max(first) - first) / between..(positions.end - first).div_ceil(between).min(size);
            for at in 0..between {
                let line = lines.clone().map(|line| first + line * between + at);
                order.extend(line.filter(|at| positions.contains(at)).map(|at| (at - positions.start) as u32));
            }
        }
    }

    /// Positions that are neighbours in memory, from each multiple of their number on.
    pub(super) fn together(&self) -> usize {
        match self.axes.last() {
            Some(&(size, 1)) => size,
            _ => 1,
        }
    }

    /// How far a position lies from the view's first element, in elements.
    pub(super) fn offset(&self, position: usize) -> isize {
        let (mut rest, mut offset) = (position, 0);
        for &(size, stride) in self.axes.iter().rev() {
            offset += (rest % size) as isize * stride;
            rest /= size;
        }
        offset
    }

    /// Replaces `offsets` by those of these positions.
    pub(super) fn offsets(&self, positions: &Range<usize>, offsets: &mut Vec<isize>) {
        debug_assert!(positions.end <= self.len);
        let (size, stride) = self.axes.last().copied().unwrap_or((1, 0));
        offsets.clear();
        let mut position = positions.start;
        while position < positions.end {
            // As far as the fastest axis goes.
            let (first, run) = (self.offset(position), (size - position % size).min(positions.end - position));
            offsets.extend((0..run as isize).map(|step| first + step * stride));
            position += run;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn, Slice};

    use super::*;

    #[test]
    fn a_walk_visits_what_the_view_iterates() {
        let array = ArrayD::from_shape_fn(IxDyn(&[3, 4, 1, 5]), |index| index[0] * 20 + index[1] * 5 + index[3]);
        let mut reversed = array.view();
        reversed.slice_axis_inplace(Axis(1), Slice::new(0, None, -2));
        let spread = ArrayViewD::from_shape(IxDyn(&[5]), &array.as_slice().unwrap()[..5]).unwrap();
        let spread = spread.broadcast(IxDyn(&[2, 3, 1, 5])).unwrap();
        for view in [array.view(), reversed, spread] {
            for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [0, 3, 2, 1]] {
                let walk = Walk::new(&view, &order);
                let expected: Vec<usize> = view.clone().permuted_axes(order.as_slice()).iter().copied().collect();
                assert_eq!(walk.len(), expected.len());
                for start in [0, 1, 7, expected.len() - 1] {
                    let mut offsets = Vec::new();
                    let count = (expected.len() - start).min(13);
                    walk.offsets(&(start..start + count), &mut offsets);
                    let first = view.first().unwrap();
                    let base = (std::ptr::from_ref(first).addr() - array.as_ptr().addr()) / size_of::<usize>();
                    let found: Vec<usize> = offsets
                        .iter()
                        .map(|&offset| array.as_slice().unwrap()[base.wrapping_add_signed(offset)])
                        .collect();
                    assert_eq!(found, expected[start..start + count], "{order:?} from {start}");
                }
            }
        }
    }

    #[test]
    fn neighbours_in_memory_follow_each_other() {
        let array = ArrayD::from_elem(IxDyn(&[3, 2, 5, 9]), 0_u8);
        let walk = Walk::new(&array.view(), &[1, 3, 0, 2]);
        assert_eq!(walk.between_neighbours(), Some(15));
        assert_eq!(Walk::new(&array.view(), &[3, 1, 2]).between_neighbours(), Some(10));
        assert_eq!(Walk::new(&array.view(), &[0, 1, 2, 3]).between_neighbours(), None);
        assert_eq!(Walk::new(&array.view(), &[2, 0]).between_neighbours(), None);
        for range in [0..270, 0..135, 3..250, 14..16, 100..101, 130..140, 7..7] {
            let (mut order, mut offsets) = (Vec::new(), Vec::new());
            walk.along_neighbours(&range, &mut order);
            walk.offsets(&range, &mut offsets);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..range.len() as u32), "{range:?}: {order:?}");
            let jumps = order.windows(2).filter(|pair| offsets[pair[1] as usize] != offsets[pair[0] as usize] + 1);
            assert!(jumps.count() <= 2 * 15, "{range:?}: {order:?}");
        }
    }

    #[test]
    fn axes_that_lie_as_one_are_one() {
        let array = ArrayD::from_elem(IxDyn(&[3, 4, 1, 5]), 0_u8);
        assert_eq!(Walk::new(&array.view(), &[0, 1, 2, 3]).axes.as_slice(), [(60, 1)]);
        assert_eq!(Walk::new(&array.view(), &[3, 0, 1]).axes.as_slice(), [(5, 1), (12, 5)]);
        assert_eq!(Walk::new(&array.view(), &[]), Walk { axes: SmallVec::new(), len: 1 });
    }
}
