//! Values that ranks have parts of, and their wholes.

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis, IxDyn, Slice};

use crate::equation::Label;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, Value, fill};
use crate::kernel::{self, Element};
use crate::lower::{Axes, Plan, ValueId};
use crate::operands::OperandView;
use crate::quant::{Part, ScaleKind, Scales};
use crate::ranks::Communicator;
use crate::rng::Window;
use crate::sizes::Shape;

use super::ranges::{Spread, axes_of};

/// What a rank is given of the operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Given {
    /// All of each.
    Wholes,
    /// What it reads of each: [`Spread::part`].
    Parts,
}

/// One rank's share of a run.
#[derive(Clone, Copy)]
pub(super) struct Share<'s> {
    pub(super) plan: &'s Plan,
    pub(super) spread: &'s Spread,
    pub(super) ranks: &'s dyn Communicator,
    pub(super) given: Given,
}

impl<'s> Share<'s> {
    /// The indices of a label that this rank has.
    pub(super) fn range(&self, label: Label) -> Range<usize> {
        self.spread.range(label, self.ranks.rank())
    }

    /// An error where these have no shapes of what this rank is given.
    pub(super) fn check<T>(&self, operands: &[OperandView<'_, T>]) -> Result<()> {
        let wholes: Vec<&[usize]> = self.plan.sizes().shapes().iter().map(Shape::as_slice).collect();
        let mut shapes: Vec<&[usize]> = operands.iter().map(OperandView::shape).collect();
        if self.given == Given::Wholes || shapes.len() != wholes.len() {
            return exec::check(self.plan, &shapes);
        }
        for (operand, given) in operands.iter().enumerate() {
            // Others are given whole.
            let OperandView::Array(_) = given else { continue };
            let found = std::mem::replace(&mut shapes[operand], wholes[operand]);
            let part = self.spread.part(self.plan, operand, self.ranks.rank());
            if !part.iter().map(ExactSizeIterator::len).eq(found.iter().copied()) {
                let message = format!("operand {operand} has shape {found:?}, but this rank's part is {part:?}");
                return Err(Error::new(ErrorKind::Shape, message));
            }
        }
        exec::check(self.plan, &shapes)
    }

    pub(super) fn axes(&self, value: ValueId, label: Label) -> Axes {
        axes_of(self.plan, value, label)
    }

    /// The shape that this rank has of a value of which each has a range of a label.
    pub(super) fn shape(&self, value: ValueId, label: Option<Label>) -> Vec<usize> {
        let mut shape = self.plan.value(value).shape().to_vec();
        if let Some(label) = label {
            let length = self.range(label).len();
            for &axis in &self.axes(value, label) {
                shape[axis] = length;
            }
        }
        shape
    }

    /// How a side is a part of the whole one, of which each rank has a range along an axis; `is_shared` where its scales are
    /// those of the terms of all.
    pub(super) fn part(&self, local: &[usize], axis: Option<usize>, label: Label, is_shared: bool) -> Part<'s> {
        let start = self.range(label).start;
        let window = axis.map(|axis| Window::new(local, axis, self.spread.extent(label), start));
        Part { window, sharers: is_shared.then_some(self.ranks) }
    }

    /// What this rank has of a whole array along the axes of a label.
    pub(super) fn narrow<'a, T: Element>(&self, value: Value<'a, T>, axes: &[usize], label: Label) -> Value<'a, T> {
        let range = Slice::from(self.range(label));
        match value {
            Value::Borrowed(mut view) => {
                for &axis in axes {
                    view.slice_axis_inplace(Axis(axis), range);
                }
                Value::Borrowed(view)
            }
            // The memory of the whole is given back.
            Value::Owned(array) => {
                let mut view = array.view();
                for &axis in axes {
                    view.slice_axis_inplace(Axis(axis), range);
                }
                Value::Owned(view.to_owned())
            }
        }
    }

    /// The whole of which each rank has a range along the axes of a label; where there are several axes, what lies beside
    /// everybody's part is zero.
    pub(super) fn gather<T: Element>(
        &self,
        own: &ArrayViewD<'_, T>,
        axes: &[usize],
        label: Label,
    ) -> Result<ArrayD<T>> {
        let mut whole = self.whole(own, axes, label);
        for root in 0..self.ranks.size() {
            let mut place = self.place(&mut whole, axes, label, root);
            let is_own = root == self.ranks.rank();
            if is_own {
                place.assign(own);
            }
            let (axis, rows) = piece(place.shape(), size_of::<T>());
            for mut piece in place.axis_chunks_iter_mut(axis, rows) {
                let mut bytes = if is_own { message(&piece.view()) } else { Vec::new() };
                self.ranks.broadcast(root, &mut bytes)?;
                if !is_own {
                    take(&mut piece, &bytes)?;
                }
            }
        }
        Ok(whole)
    }

    /// The same on the first rank alone.
    pub(super) fn gather_first<T: Element>(
        &self,
        own: &ArrayViewD<'_, T>,
        axes: &[usize],
        label: Label,
    ) -> Result<Option<ArrayD<T>>> {
        if self.ranks.rank() > 0 {
            let (axis, rows) = piece(own.shape(), size_of::<T>());
            let mut pieces = own.axis_chunks_iter(axis, rows);
            pieces.try_for_each(|piece| self.ranks.send(0, &message(&piece)))?;
            return Ok(None);
        }
        let mut whole = self.whole(own, axes, label);
        self.place(&mut whole, axes, label, 0).assign(own);
        for rank in 1..self.ranks.size() {
            let mut place = self.place(&mut whole, axes, label, rank);
            let (axis, rows) = piece(place.shape(), size_of::<T>());
            for mut piece in place.axis_chunks_iter_mut(axis, rows) {
                take(&mut piece, &self.ranks.receive(rank)?)?;
            }
        }
        Ok(Some(whole))
    }

    /// Room for the whole of a part.
    fn whole<T: Element>(&self, own: &ArrayViewD<'_, T>, axes: &[usize], label: Label) -> ArrayD<T> {
        let mut shape = own.shape().to_vec();
        for &axis in axes {
            shape[axis] = self.spread.extent(label);
        }
        ArrayD::from_elem(IxDyn(&shape), T::ZERO)
    }

    /// Where a rank's part of a whole belongs.
    fn place<'w, T>(
        &self,
        whole: &'w mut ArrayD<T>,
        axes: &[usize],
        label: Label,
        rank: usize,
    ) -> ArrayViewMutD<'w, T> {
        let range = Slice::from(self.spread.range(label, rank));
        let mut place = whole.view_mut();
        for &axis in axes {
            place.slice_axis_inplace(Axis(axis), range);
        }
        place
    }

    /// The scales of a whole side, of which each rank has those of its range along an axis.
    pub(super) fn gather_scales(&self, scales: &Scales, axis: usize, label: Label) -> Result<Scales> {
        // A constant bound has one scale for everything.
        if scales.kind != ScaleKind::Operand {
            return Ok(scales.clone());
        }
        let whole = |numbers: &ArrayD<f32>| self.gather(&numbers.view(), &[axis], label);
        Ok(Scales { scale: whole(&scales.scale)?, inverse: whole(&scales.inverse)?, kind: scales.kind })
    }
}

/// Bytes that a message of a part may have where no row of it has more: the more, the more memory is taken beside what is made.
const PIECE: usize = 1 << 24;

/// How a part of this shape is cut into messages, all of which but the last have so many indices of an axis.
fn piece(shape: &[usize], element: usize) -> (Axis, usize) {
    let axis = shape.iter().position(|&size| size > 1).unwrap_or(0);
    let row: usize = shape.iter().skip(axis + 1).product::<usize>() * element;
    (Axis(axis), (PIECE / row.max(1)).max(1))
}

/// The bytes of the largest of these messages.
pub(super) fn piece_bytes(shape: &[usize], element: usize) -> u64 {
    let (axis, rows) = piece(shape, element);
    let sizes = shape.iter().enumerate().map(|(at, &size)| if at == axis.0 { size.min(rows) } else { size });
    sizes.fold(element as u64, |bytes, size| bytes.saturating_mul(size as u64))
}

/// An array's elements in row-major order.
fn message<T: Element>(array: &ArrayViewD<'_, T>) -> Vec<u8> {
    let rows = kernel::row_major(array.view());
    kernel::bytes(rows.as_slice().unwrap_or_default()).to_vec()
}

/// Puts elements that came where they belong.
fn take<T: Element>(place: &mut ArrayViewMutD<'_, T>, bytes: &[u8]) -> Result<()> {
    let mut elements = vec![T::ZERO; place.len()];
    fill(&mut elements, bytes)?;
    let elements = ArrayViewD::from_shape(place.raw_dim(), &elements).expect("as many as the place has");
    place.assign(&elements);
    Ok(())
}
