//! What a run takes as its operands: tuples of arrays of any ranks, or a slice of views.

use ndarray::{ArrayBase, ArrayView, ArrayViewD, Data, Dimension, IxDyn};

/// One operand: a reference to an array, or a view.
///
/// Implemented for `&Array`, `&ArrayView`, `ArrayView` and every other kind of `ndarray` array that can be read.
pub trait Operand<'a, T> {
    /// The operand as a view of dynamic rank.
    fn into_view(self) -> ArrayViewD<'a, T>;
}

impl<'a, T, S: Data<Elem = T>, D: Dimension> Operand<'a, T> for &'a ArrayBase<S, D> {
    fn into_view(self) -> ArrayViewD<'a, T> {
        self.view().into_dyn()
    }
}

impl<'a, T, D: Dimension> Operand<'a, T> for ArrayView<'a, T, D> {
    fn into_view(self) -> ArrayViewD<'a, T> {
        self.into_dyn()
    }
}

/// The operands of a run: a tuple of up to twelve [`Operand`]s, or a slice of views for any number.
///
/// ```
/// use ndarray::{arr0, array, ArrayD};
/// use qeinsum::QEinsum;
/// let (a, x, s) = (array![[1.0, 2.0], [3.0, 4.0]], array![10.0, 1.0], arr0(2.0));
/// let y: ArrayD<f64> = QEinsum::new("ij,j,->i")?.run((&a, x.view(), &s))?;
/// assert_eq!(y, array![24.0, 68.0].into_dyn());
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub trait Operands<'a, T> {
    /// The operands in order, as views of dynamic rank.
    fn into_views(self) -> Vec<ArrayViewD<'a, T>>;
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<'a, T, $($name: Operand<'a, T>),+> Operands<'a, T> for ($($name,)+) {
            fn into_views(self) -> Vec<ArrayViewD<'a, T>> {
                #[expect(non_snake_case, reason = "the variables are named as their types")]
                let ($($name,)+) = self;
                vec![$($name.into_view()),+]
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

impl<'a, T> Operands<'a, T> for &[ArrayView<'a, T, IxDyn>] {
    fn into_views(self) -> Vec<ArrayViewD<'a, T>> {
        self.to_vec()
    }
}

impl<'a, T> Operands<'a, T> for &Vec<ArrayView<'a, T, IxDyn>> {
    fn into_views(self) -> Vec<ArrayViewD<'a, T>> {
        self.clone()
    }
}

impl<'a, T> Operands<'a, T> for Vec<ArrayView<'a, T, IxDyn>> {
    fn into_views(self) -> Vec<ArrayViewD<'a, T>> {
        self
    }
}
