//! The gradient of one side of a call: a quantized call of its own.
//!
//! Straight through the quantizer, which the backward pass takes for the identity: the incoming gradient is multiplied
//! with the other side, both quantized by the gradient's own configuration, and masked where clipping is to stop it.
//! No gradient flows through scales.

use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};

use crate::cancel;
use crate::error::Result;
use crate::kernel::{self, Element, LentArray, Order};
use crate::lower::{DimensionNumbers, GradientCall, Side};
use crate::quant::{
    ClipGradient, DotGeneralConfig, Format, GradientConfig, Part, Residual, Scales, mask_gradient, quantized_floats,
};
use crate::rng::{CallKeys, Key};

use super::call::{CallRecord, Keep, QuantizedCall, Rescaled};
use super::rescale::{lhs_in_output_layout, rescaled, rhs_in_output_layout};
use super::shards;
use super::shared_terms::{CallParts, SharedTerms};
use super::side::Input;
use super::value::Value;

/// Everything that a gradient's call computes on its way.
///
/// Its sides are those of the call: the lhs is the incoming gradient.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, Factor, Key, QDotGeneral, Side};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let (a, b) = (array![[1.0_f32, -0.5]], array![[0.0_f32], [2.0]]);
/// let (y, grads) = dot.vjp(&a, &b, Key::new(0))?;
/// grads.pull_recorded(&y, |side, record| {
///     assert_eq!(record.incoming, y);
///     // Of v4 the gradient of the lhs is quantized, with noise on what comes in, and that of the rhs is not.
///     let is_int8 = matches!(record.call.lhs.factor, Factor::Int8(_));
///     assert_eq!((is_int8, record.call.lhs.noise.is_some()), (side == Side::Lhs, side == Side::Lhs));
/// })?;
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct GradientRecord {
    /// The dimension numbers of the call as it ran: with local shards, these are the first batch pair.
    pub dims: DimensionNumbers,
    /// The incoming gradient as the call took it: times the inverse scale of a quantized residual, cut into shards.
    pub incoming: ArrayD<f32>,
    /// What stood for the other forward side, its values or its integers, cut into shards.
    pub other: ArrayD<f32>,
    /// The call. Its output is added over shards; it has not been transposed or masked.
    pub call: CallRecord,
}

/// Who watches the gradient calls of a backward pass.
pub(crate) type Observer<'o> = &'o mut dyn FnMut(Side, GradientRecord);

/// What a forward call keeps for its gradients.
#[derive(Debug)]
pub(crate) struct Kept<'a, T> {
    pub(crate) lhs: KeptSide<'a, T>,
    pub(crate) rhs: KeptSide<'a, T>,
}

/// A forward side: its values before quantization, and the scales that it was quantized with.
#[derive(Debug)]
pub(crate) struct KeptSide<'a, T> {
    pub(crate) value: Value<'a, T>,
    pub(crate) scales: Option<Scales>,
}

impl<T: Element> KeptSide<'_, T> {
    fn into_owned(self) -> KeptSide<'static, T> {
        KeptSide { value: Value::Owned(self.value.into_owned()), scales: self.scales }
    }
}

impl<'a, T: Element> Kept<'a, T> {
    /// The same, borrowing from nobody.
    pub(crate) fn into_owned(self) -> Kept<'static, T> {
        Kept { lhs: self.lhs.into_owned(), rhs: self.rhs.into_owned() }
    }

    pub(crate) fn side(&self, side: Side) -> &KeptSide<'a, T> {
        side.of(&self.lhs, &self.rhs)
    }

    fn gradient_call(&self, of: Side, dims: &DimensionNumbers) -> GradientCall {
        dims.gradient(of, self.lhs.value.view().ndim(), self.rhs.value.view().ndim())
    }
}

/// The gradient of side `of` of an unquantized call.
pub(crate) fn unquantized_gradient<T: Element>(
    of: Side,
    kept: &Kept<'_, T>,
    dims: &DimensionNumbers,
    incoming: &ArrayViewD<'_, T>,
    terms: Option<SharedTerms<'_>>,
) -> Result<ArrayD<T>> {
    let GradientCall { dims, permutation } = kept.gradient_call(of, dims);
    let other = kept.side(of.other()).value.view();
    let order = Order::new(permutation.iter().copied().collect());
    let made = match terms {
        Some(terms) => terms.product(incoming, &other, &dims, &order)?,
        None => kernel::dot_general(incoming.view(), other, &dims, &order),
    };
    Ok(made.permuted_axes(&permutation[..]))
}

/// The gradient of side `of` of a call that ran under an oriented configuration; `key` is the call's own. `parts` are those of
/// the gradient's call, whose sides are what comes in and the other side.
#[expect(clippy::too_many_arguments, reason = "each says another thing of the call")]
pub(crate) fn gradient<T: Element>(
    of: Side,
    kept: &Kept<'_, T>,
    dims: &DimensionNumbers,
    incoming: &ArrayViewD<'_, T>,
    config: &DotGeneralConfig,
    key: Option<Key>,
    observe: Option<Observer<'_>>,
    parts: CallParts<'_>,
) -> Result<ArrayD<T>> {
    let Some(format) = Format::of(T::DTYPE) else {
        // The checks let f64 and complex types pass only where nothing is quantized.
        return unquantized_gradient(of, kept, dims, incoming, parts.terms);
    };
    let keys = key.map(CallKeys::new);
    let factors = Factors::new(of, kept, dims, T::floats(incoming.view()), format, config, keys, parts.sides[1]);
    let GradientCall { dims, permutation } = kept.gradient_call(of, dims);
    let GradientConfig { call, shards, .. } = of.of(config.dlhs, config.drhs);
    let (factors, dims, sharded) = match (shards, dims.contracting().first()) {
        (Some(shards), Some(&pair)) => (factors.cut(pair, shards.get()), shards::dims(&dims), true),
        _ => (factors, dims, false),
    };

    let Factors { incoming, other, format: working } = &factors;
    let keys = keys.map(|keys| of.of(keys.dlhs, keys.drhs));
    let (lhs, rhs) = (Input::Array(incoming.view().into()), Input::Array(other.view().into()));
    let order = gradient_order(&permutation, sharded, &dims, [lhs.rank(), rhs.rank()]);
    let call = QuantizedCall { lhs, rhs, dims: &dims, format: *working, config: call, keys, order, parts };
    let summed = |output, format| if sharded { shards::sum(&output, format) } else { output };
    let (gradient, made) = match observe {
        None => {
            let Rescaled { output, format, .. } = call.rescale(Keep::Output)?;
            (summed(output, format), format)
        }
        Some(observe) => {
            let computed = call.compute()?;
            let format = computed.format;
            let mut call = computed.into_record();
            call.output = summed(call.output, format);
            let output = call.output.clone();
            let (incoming, other) = (incoming.view().to_owned(), other.view().to_owned());
            let record = GradientRecord { dims: dims.clone(), incoming, other, call };
            cancel::aside(|_| observe(of, record));
            (output, format)
        }
    };
    let mut gradient = gradient.permuted_axes(&permutation[..]);

    let own = kept.side(of);
    let forward = of.of(&config.forward.lhs, &config.forward.rhs);
    if let (Some(&int), Some(scales)) = (forward.int(), &own.scales)
        && int.gradient == ClipGradient::Masked
    {
        mask_gradient(&mut gradient, made, &T::floats(own.value.view()).view(), format, scales, int);
    }
    Ok(T::from_floats(gradient))
}

/// The order in which a gradient's axes lie so that it is in row-major order once they are permuted.
fn gradient_order(permutation: &[usize], sharded: bool, dims: &DimensionNumbers, [lhs, rhs]: [usize; 2]) -> Order {
    // Shards are added first, over an axis more.
    if sharded { Order::row_major(dims.output_rank(lhs, rhs)) } else { Order::new(permutation.into()) }
}

/// The two sides of a gradient's call, before it quantizes them.
struct Factors<'v> {
    incoming: Floats<'v>,
    other: Floats<'v>,
    /// That of both.
    format: Format,
}

/// A side before it is quantized.
enum Floats<'v> {
    Given(CowArray<'v, f32, IxDyn>),
    /// Made for this call.
    Lent(LentArray),
}

impl Floats<'_> {
    fn view(&self) -> ArrayViewD<'_, f32> {
        match self {
            Self::Given(floats) => floats.view(),
            Self::Lent(floats) => floats.view(),
        }
    }
}

impl<'v> Factors<'v> {
    #[expect(clippy::too_many_arguments, reason = "each says another thing of the call")]
    fn new<T: Element>(
        of: Side,
        kept: &'v Kept<'_, T>,
        dims: &DimensionNumbers,
        incoming: CowArray<'v, f32, IxDyn>,
        format: Format,
        config: &DotGeneralConfig,
        keys: Option<CallKeys>,
        part: Part<'_>,
    ) -> Self {
        let side = kept.side(of.other());
        let other = T::floats(side.value.view());
        let residual = of.of(config.dlhs.residual, config.drhs.residual);
        let numerics = of.of(config.forward.rhs, config.forward.lhs);
        let (Residual::Quantized, Some(&int), Some(scales)) = (residual, numerics.int(), &side.scales) else {
            return Self { incoming: Floats::Given(incoming), other: Floats::Given(other), format };
        };
        // The integers stand for the other side, and their scale is multiplied into the gradient.
        let key = keys.map(|keys| of.of(keys.forward.rhs, keys.forward.lhs));
        let integers = quantized_floats(&other.view(), format, scales, int, key, part);
        let own_rank = kept.side(of).value.view().ndim();
        let inverse = match of {
            Side::Lhs => rhs_in_output_layout(&scales.inverse, dims, own_rank),
            Side::Rhs => lhs_in_output_layout(&scales.inverse, dims, own_rank),
        };
        let (incoming, format) = rescaled(&incoming.view(), &inverse, scales.kind, format);
        Self { incoming: Floats::Lent(incoming), other: Floats::Lent(integers), format }
    }

    /// Cuts the axes of a contracting pair into shards.
    fn cut(self, pair: (usize, usize), shards: usize) -> Self {
        let incoming = shards::cut(&self.incoming.view(), pair.0, shards);
        let other = shards::cut(&self.other.view(), pair.1, shards);
        let [incoming, other] = [incoming, other].map(|floats| Floats::Given(floats.into()));
        Self { incoming, other, ..self }
    }
}
