//! A run on one rank: what is given is checked and there is memory for it, before anything is read or told.

use ndarray::ArrayD;

use crate::dtype::Dtype;
use crate::error::Result;
use crate::exec::{self, QuantizedCalls, Recipients};
use crate::frozen::{self, Served};
use crate::kernel::Element;
use crate::operands::OperandView;
use crate::parse::Ast;
use crate::quant::QuantConfig;
use crate::rng::Key;

use super::api::no_result;
use super::checkpoint::{Checkpoint, whose};
use super::gather::Share;

impl Share<'_> {
    /// An error where the system would not give what this rank's share takes beside its operands, so many bytes of which are yet
    /// to be read.
    fn check_room(&self, dtype: Dtype, config: Option<&QuantConfig>, read: u64) -> Result<()> {
        let Self { plan, spread, .. } = *self;
        exec::check_needed(plan, dtype, || {
            let needed = spread.run_bytes(plan, dtype, config).and_then(|bytes| bytes.checked_add(read));
            (needed, spread.operand_bytes(plan, dtype))
        })
    }

    /// The bytes that this rank reads of operands that are not in memory.
    fn read_bytes<T: Element>(&self, served: &Served<'_, T>) -> u64 {
        if !self.plan.slices().is_empty() {
            return served.read_bytes(self.plan);
        }
        let bytes = served.stored().into_iter().map(|(id, _)| {
            let sizes = self.spread.part(self.plan, id.index(), self.ranks.rank());
            sizes.iter().fold(T::DTYPE.bytes() as u64, |bytes, range| bytes.saturating_mul(range.len() as u64))
        });
        let arrays = bytes.fold(0, u64::saturating_add);
        served.stored_sides().fold(arrays, |bytes, (id, side)| {
            let along = self.along(id).map(|(axis, range)| (axis, range.len()));
            bytes.saturating_add(side.bytes(along))
        })
    }

    /// Runs the plan on operands, some of which may be frozen.
    pub(super) fn run_operands<T: Element>(
        &self,
        ast: Option<&Ast>,
        config: Option<&QuantConfig>,
        operands: Vec<OperandView<'_, T>>,
        key: Option<Key>,
    ) -> Result<ArrayD<T>> {
        self.run_for(Recipients::All, ast, config, operands, key, None)?.ok_or_else(no_result)
    }

    /// The same for some of the ranks, with what is kept of plans in slices.
    pub(super) fn run_for<T: Element>(
        &self,
        recipients: Recipients,
        ast: Option<&Ast>,
        config: Option<&QuantConfig>,
        operands: Vec<OperandView<'_, T>>,
        key: Option<Key>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Option<ArrayD<T>>> {
        let plan = self.plan;
        // The first rank has the file.
        let kept = checkpoint.as_ref().filter(|_| self.ranks.rank() == 0);
        let whose = kept.map(|_| whose(plan, config, key, &operands)).transpose()?.unwrap_or_default();
        self.check(&operands)?;
        let served = frozen::list(plan, ast, config, operands)?;
        self.check_room(T::DTYPE, config, self.read_bytes(&served))?;
        let calls = config.map(|config| QuantizedCalls::serving::<T>(plan, config, key, &served.frozen)).transpose()?;
        if !plan.slices().is_empty() {
            let (mut saved, mut every) = (None, std::time::Duration::MAX);
            let checkpoint = match checkpoint {
                Some(mut checkpoint) => {
                    every = checkpoint.every;
                    // Others may have read the file too, but do not know whose it is.
                    if self.ranks.rank() == 0 {
                        saved = checkpoint.take(whose)?;
                    }
                    Some(checkpoint)
                }
                None => None,
            };
            let mut save = |kept: &[u8]| checkpoint.as_ref().map_or(Ok(()), |file| file.save(whose, kept));
            let kept = Some(exec::Checkpoint { saved, every, save: &mut save });
            return match calls {
                Some(calls) => exec::execute_on(self.ranks, plan, served.known, &calls, kept, recipients),
                None => exec::execute_on(self.ranks, plan, served.known, &exec::Unquantized, kept, recipients),
            };
        }
        self.run(served.known, calls.as_ref(), &mut None, recipients)
    }
}
