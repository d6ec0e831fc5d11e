//! What a run takes as its operands: tuples of arrays of any ranks, or a slice of views.

use ndarray::{ArrayBase, ArrayView, ArrayViewD, Data, Dimension};

use crate::error::{Error, ErrorKind, Result};
use crate::frozen::{Frozen, FrozenFile};
use crate::stored::Stored;

/// What an operand is: an array, one that was quantized before, or one that is kept elsewhere.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{Operand, OperandView, QEinsum};
/// // A list of operands of different ranks, put together as the program runs.
/// let (matrix, vector) = (array![[1.0, 2.0]], array![3.0, 4.0]);
/// let operands: Vec<OperandView<'_, f64>> = vec![matrix.view().into_operand(), vector.view().into_operand()];
/// assert_eq!(operands[0].shape(), [1, 2]);
/// assert_eq!(QEinsum::new("ij,j->i")?.run(operands)?, array![11.0].into_dyn());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum OperandView<'a, T> {
    /// A view of an array, of dynamic rank.
    Array(ArrayViewD<'a, T>),
    /// A frozen operand in the array's place.
    Frozen(&'a Frozen),
    /// The same in a file, of which a run reads what it multiplies.
    FrozenFile(&'a FrozenFile),
    /// An array that is read when it is needed.
    Stored(&'a dyn Stored<T>),
}

impl<'a, T> OperandView<'a, T> {
    /// The shape of the operand; of a frozen one, that of the array that it was made from.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Array(array) => array.shape(),
            Self::Frozen(frozen) => frozen.shape(),
            Self::FrozenFile(file) => file.shape(),
            Self::Stored(stored) => stored.shape(),
        }
    }

    /// The array; an error for one that is not there as floats, which `what` needs.
    pub(crate) fn into_array(self, what: &str) -> Result<ArrayViewD<'a, T>> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Frozen(frozen) => Err(frozen_error(frozen.operand(), what)),
            Self::FrozenFile(file) => Err(frozen_error(file.operand(), what)),
            Self::Stored(_) => {
                let message = format!("an operand is stored, and {what} needs it in memory: read it before");
                Err(Error::new(ErrorKind::Value, message))
            }
        }
    }
}

fn frozen_error(operand: usize, what: &str) -> Error {
    let message = format!("operand {operand} is frozen: it keeps integers, and {what} needs floats");
    Error::new(ErrorKind::Freeze, message)
}

/// One operand: a reference to an array, a view, or a reference to a [`Frozen`] operand or to a [`FrozenFile`].
///
/// Implemented for `&Array`, `&ArrayView`, `ArrayView` and every other kind of `ndarray` array that can be read.
///
/// ```
/// use ndarray::{Array1, ArrayD, array};
/// use qeinsum::{Operand, QEinsum, Result};
/// // A function that takes what a run takes.
/// fn total<'a>(array: impl Operand<'a, f64>) -> Result<ArrayD<f64>> {
///     QEinsum::new("i->")?.run((array.into_operand(),))
/// }
/// let owned: Array1<f64> = array![1.0, 2.0, 3.0];
/// assert_eq!(total(&owned)?, total(owned.view())?);
/// assert_eq!(total(owned.slice(ndarray::s![1..]))?.sum(), 5.0);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[diagnostic::on_unimplemented(note = "an operand is a reference to an ndarray array, a view of one, or a `&Frozen`")]
pub trait Operand<'a, T> {
    /// The operand as a view of dynamic rank.
    fn into_operand(self) -> OperandView<'a, T>;
}

impl<'a, T> Operand<'a, T> for OperandView<'a, T> {
    fn into_operand(self) -> OperandView<'a, T> {
        self
    }
}

impl<'a, T> Operand<'a, T> for &'a Frozen {
    fn into_operand(self) -> OperandView<'a, T> {
        OperandView::Frozen(self)
    }
}

impl<'a, T> Operand<'a, T> for &'a FrozenFile {
    fn into_operand(self) -> OperandView<'a, T> {
        OperandView::FrozenFile(self)
    }
}

impl<'a, T, S: Data<Elem = T>, D: Dimension> Operand<'a, T> for &'a ArrayBase<S, D> {
    fn into_operand(self) -> OperandView<'a, T> {
        OperandView::Array(self.view().into_dyn())
    }
}

impl<'a, T, D: Dimension> Operand<'a, T> for ArrayView<'a, T, D> {
    fn into_operand(self) -> OperandView<'a, T> {
        OperandView::Array(self.into_dyn())
    }
}

/// The operands of a run: a tuple of up to twelve [`Operand`]s of any ranks, or an array, `Vec` or slice for any number
/// of one rank (`ArrayD` or `ArrayViewD` where ranks differ; [`OperandView`] where some are frozen or
/// stored).
///
/// ```
/// use ndarray::{arr0, array, ArrayD};
/// use qeinsum::QEinsum;
/// let (a, x, s) = (array![[1.0, 2.0], [3.0, 4.0]], array![10.0, 1.0], arr0(2.0));
/// let y: ArrayD<f64> = QEinsum::new("ij,j,->i")?.run((&a, x.view(), &s))?;
/// assert_eq!(y, array![24.0, 68.0].into_dyn());
/// assert_eq!(qeinsum::Operands::into_operands((&a, &x)).len(), 2);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[diagnostic::on_unimplemented(note = "pass references or views in a tuple: `run((&a, &b))`")]
pub trait Operands<'a, T> {
    /// The operands in order.
    fn into_operands(self) -> Vec<OperandView<'a, T>>;
}

/// Operands that have to be arrays, for something that needs their floats.
pub(crate) fn arrays<'a, T>(operands: impl Operands<'a, T>, what: &str) -> Result<Vec<ArrayViewD<'a, T>>> {
    operands.into_operands().into_iter().map(|operand| operand.into_array(what)).collect()
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<'a, T, $($name: Operand<'a, T>),+> Operands<'a, T> for ($($name,)+) {
            fn into_operands(self) -> Vec<OperandView<'a, T>> {
                #[expect(non_snake_case, reason = "the variables are named as their types")]
                let ($($name,)+) = self;
                vec![$($name.into_operand()),+]
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);

impl<'a, T, O: Operand<'a, T>, const N: usize> Operands<'a, T> for [O; N] {
    fn into_operands(self) -> Vec<OperandView<'a, T>> {
        self.into_iter().map(Operand::into_operand).collect()
    }
}

impl<'a, T, O: Operand<'a, T>> Operands<'a, T> for Vec<O> {
    fn into_operands(self) -> Vec<OperandView<'a, T>> {
        self.into_iter().map(Operand::into_operand).collect()
    }
}

impl<'a, T, S: Data<Elem = T>, D: Dimension> Operands<'a, T> for &'a [ArrayBase<S, D>] {
    fn into_operands(self) -> Vec<OperandView<'a, T>> {
        self.iter().map(Operand::into_operand).collect()
    }
}

impl<'a, T, S: Data<Elem = T>, D: Dimension> Operands<'a, T> for &'a Vec<ArrayBase<S, D>> {
    fn into_operands(self) -> Vec<OperandView<'a, T>> {
        self.as_slice().into_operands()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis, Slice};

    use crate::QEinsum;

    #[test]
    fn operands_come_in_many_shapes() {
        let qe = QEinsum::new("i,i->").unwrap();
        let (a, b) = (Array1::from_vec(vec![1.0, 2.0]), Array1::from_vec(vec![3.0, 4.0]));
        let (dynamic, views): (Vec<ArrayD<f64>>, Vec<ArrayView1<'_, f64>>) =
            (vec![a.clone().into_dyn(), b.clone().into_dyn()], vec![a.view(), b.view()]);
        let eleven = |out: crate::Result<ArrayD<f64>>| assert_eq!(out.unwrap().first(), Some(&11.0));
        eleven(qe.run((&a, &b)));
        eleven(qe.run((a.view(), &b)));
        eleven(qe.run([&a, &b]));
        eleven(qe.run([a.view(), b.view()]));
        eleven(qe.run(&dynamic));
        eleven(qe.run(dynamic.as_slice()));
        eleven(qe.run(&views));
        eleven(qe.run(views.as_slice()));
        eleven(qe.run(views));
    }

    #[test]
    fn the_output_is_any_array_of_its_shape() {
        let qe = QEinsum::new("ij->ji").unwrap();
        let a = Array2::from_shape_fn((2, 3), |(i, j)| (10 * i + j) as f32);
        let mut out = Array2::zeros((3, 2));
        qe.run_into((&a,), &mut out).unwrap();
        assert_eq!(out, a.t());
        let mut wide = Array2::zeros((3, 4));
        let every_second = Slice::new(0, None, 2);
        qe.run_into([&a], &mut wide.slice_axis_mut(Axis(1), every_second)).unwrap();
        assert_eq!(wide.slice_axis(Axis(1), every_second), a.t());
        assert!(qe.run_into((&a,), &mut Array2::zeros((2, 3))).is_err());
    }
}
