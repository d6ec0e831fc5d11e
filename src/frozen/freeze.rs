//! Freezing an operand.

use std::sync::Arc;

use ndarray::ArrayViewD;

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, FrozenSide};
use crate::kernel::Element;
use crate::lower::Plan;
use crate::parse::Ast;
use crate::quant::{Format, QuantConfig};
use crate::rng::{CallKeys, Key};

use super::{Frozen, call, own_config};

/// Quantizes an operand as the call that it enters would, with the noise of `key` where its side has any.
pub(crate) fn freeze<T: Element>(
    ast: &Ast,
    plan: Arc<Plan>,
    config: Arc<QuantConfig>,
    operand: usize,
    x: ArrayViewD<'_, T>,
    key: Option<Key>,
) -> Result<Frozen> {
    let operands = plan.sizes().shapes();
    let Some(shape) = operands.get(operand) else {
        let message = format!("there is no operand {operand} to freeze; there are {}", operands.len());
        return Err(Error::new(ErrorKind::Freeze, message));
    };
    if x.shape() != shape.as_slice() {
        let message = format!("operand {operand} has shape {:?}, but the plan is bound to {shape:?}", x.shape());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    let Some(entry) = plan.entry(operand) else {
        let message = format!("operand {operand} cannot be frozen: the plan multiplies it with nothing");
        return Err(Error::new(ErrorKind::Freeze, message));
    };
    config.check_fits(operands.len())?;
    let configs = plan.call_configs(&config);
    configs[entry.call].forward.check_dtype(T::DTYPE, "fwd")?;
    let own = own_config(&plan, &config, entry);
    if own.noise().is_some() && key.is_none() {
        let message = format!("the configuration adds noise to operand {operand}, but no key was given");
        return Err(Error::new(ErrorKind::Config, message));
    }
    let keys = key.map(|key| CallKeys::new(exec::call_key(key, entry.call)).forward);
    let key = keys.map(|keys| entry.side.of(keys.lhs, keys.rhs));
    let dims = call(&plan, entry).0;
    let contracting = entry.side.of(dims.lhs_contracting(), dims.rhs_contracting());
    let entering = exec::entering(&plan, operand, x);
    let unquantized = || {
        Error::new(
            ErrorKind::Freeze,
            format!("operand {operand} cannot be frozen: its configuration does not quantize it"),
        )
    };
    let format = Format::of(T::DTYPE).ok_or_else(unquantized)?;
    let floats = T::floats(entering.view());
    let side =
        FrozenSide::new(&floats.view(), format, &contracting, &own, key)?.ok_or_else(unquantized)?.stored(format);
    let (equation, syntax) = (ast.to_string(), ast.syntax());
    Ok(Frozen { equation, syntax, plan, operand, entry, config, dtype: T::DTYPE, side })
}
