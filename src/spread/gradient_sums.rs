//! How ranks sum the terms of gradients.

use crate::dtype::Dtype;
use crate::equation::Label;
use crate::exec::TermKind;
use crate::lower::{DimensionNumbers, Op, Plan, Side, ValueId};
use crate::quant::{DotGeneralConfig, Format, QuantConfig};

use super::choose::unit_of;
use super::ranges::{Spread, axes_of};

/// A call of the forward pass that ranks share by a label.
#[derive(Clone, Copy)]
pub(super) struct SharedCall<'p> {
    pub(super) plan: &'p Plan,
    pub(super) sides: [ValueId; 2],
    pub(super) result: ValueId,
    pub(super) dims: &'p DimensionNumbers,
    pub(super) label: Label,
}

/// A gradient of such a call that sums the label.
pub(super) struct Summed {
    /// The sizes of what it sums, in the order in which terms are added.
    pub(super) sizes: Vec<usize>,
    /// The place of the label among them.
    pub(super) place: usize,
    /// How many indices have to stay together for ranks to sum their terms each; none where one has to have all of them.
    pub(super) unit: Option<usize>,
}

impl SharedCall<'_> {
    /// How the gradient of a side sums the label; none where it does not, and each rank makes its range of it. The configuration
    /// is that of the call in terms of the sides that it executes.
    pub(super) fn summed(&self, of: Side, dtype: Dtype, config: Option<&DotGeneralConfig>) -> Option<Summed> {
        let Self { plan, sides, result, dims, label } = *self;
        let [lhs, rhs] = sides;
        if !axes_of(plan, of.of(lhs, rhs), label).is_empty() {
            return None;
        }
        let rank = |value: ValueId| plan.value(value).shape().len();
        let made = dims.gradient(of, rank(lhs), rank(rhs));
        // The axes of what comes in are those of the result.
        let axes = axes_of(plan, result, label);
        let place = made.dims.contracting().iter().position(|pair| axes.first() == Some(&pair.0))?;
        let whole = plan.value(result).shape();
        let sizes: Vec<usize> = made.dims.contracting().iter().map(|pair| whole[pair.0]).collect();
        let gradient = config.filter(|_| Format::of(dtype).is_some()).map(|config| of.of(config.dlhs, config.drhs));
        let kind = gradient.as_ref().map_or(TermKind::Float, |gradient| TermKind::of(&gradient.call));
        // Shards cut a summed axis, perhaps this one.
        let is_cut = gradient.is_some_and(|gradient| gradient.shards.is_some());
        let unit = unit_of(kind, dtype, &sizes, place).filter(|_| !is_cut);
        Some(Summed { sizes, place, unit })
    }
}

impl Spread {
    /// The same with ranges that end where ranks can sum the terms of gradients each, where labels are long enough for that; of
    /// other gradients every rank computes all.
    ///
    /// ```
    /// use qeinsum::{Dtype, QEinsum, spread::{Network, Spread}};
    /// // The gradient of the weights sums over the rows.
    /// let plan = QEinsum::new("bi,io->bo")?.plan(&[&[10_000, 512], &[512, 64]])?;
    /// let spread = Spread::choose(&plan, None, 3, Network::default());
    /// let b = plan.equation().label("b").expect("the equation has it");
    /// assert_eq!(spread.range(b, 0), 0..3333);
    /// assert_eq!(spread.for_gradients(&plan, Dtype::F32, None).range(b, 0), 0..3072);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    pub fn for_gradients(mut self, plan: &Plan, dtype: Dtype, config: Option<&QuantConfig>) -> Self {
        let mut units = self.units.clone();
        self.each_summed(plan, dtype, config, |call, summed| {
            let unit = summed.unit.unwrap_or(1);
            if self.extent(call.label).div_ceil(unit) >= self.ranks {
                // Units are powers of two, so that the largest is one of whole ones of all.
                let own = &mut units[call.label.index()];
                *own = unit.max(*own);
            }
        });
        self.units = units;
        self
    }

    /// Whether each rank sums its terms of a gradient.
    pub(super) fn sums_parts(&self, label: Label, summed: &Summed) -> bool {
        summed.unit.is_some_and(|unit| self.units[label.index()].is_multiple_of(unit))
    }

    /// What is to be done with each gradient that sums what ranks have ranges of.
    pub(super) fn each_summed(
        &self,
        plan: &Plan,
        dtype: Dtype,
        config: Option<&QuantConfig>,
        mut each: impl FnMut(&SharedCall<'_>, &Summed),
    ) {
        let configs = config.map(|config| plan.call_configs(config));
        for (number, step) in plan.calls().enumerate() {
            let (Op::DotGeneral { lhs, rhs, dims, orientation }, Some(label)) = (step.op(), self.calls[number]) else {
                continue;
            };
            let config = configs.as_ref().map(|configs| configs[number].oriented(*orientation));
            let call = SharedCall { plan, sides: [*lhs, *rhs], result: step.result(), dims, label };
            for of in Side::BOTH {
                if let Some(summed) = call.summed(of, dtype, config.as_ref()) {
                    each(&call, &summed);
                }
            }
        }
    }
}
