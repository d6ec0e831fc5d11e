//! Freezing an operand.

use std::sync::Arc;

use ndarray::ArrayViewD;

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, FrozenSide};
use crate::kernel::Element;
use crate::lower::{Entry, Plan};
use crate::parse::Ast;
use crate::quant::{Format, QuantConfig, TensorConfig};
use crate::rng::{CallKeys, Key};

use super::place::Place;
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
    let (entry, own) = site(&plan, &config, operand, T::DTYPE)?;
    let shape = &plan.sizes().shapes()[operand];
    if x.shape() != shape.as_slice() {
        let message = format!("operand {operand} has shape {:?}, but the plan is bound to {shape:?}", x.shape());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    if own.noise().is_some() && key.is_none() {
        let message = format!("the configuration adds noise to operand {operand}, but no key was given");
        return Err(Error::new(ErrorKind::Config, message));
    }
    let keys = key.map(|key| CallKeys::new(exec::call_key(key, entry.call)).forward);
    let key = keys.map(|keys| entry.side.of(keys.lhs, keys.rhs));
    let dims = call(&plan, entry).0;
    let contracting = entry.side.of(dims.lhs_contracting(), dims.rhs_contracting());
    let entering = exec::entering(&plan, operand, x);
    let format = Format::of(T::DTYPE).ok_or_else(|| unquantized(operand))?;
    let floats = T::floats(entering.view());
    let side = FrozenSide::new(&floats.view(), format, &contracting, &own, key)?;
    let side = side.ok_or_else(|| unquantized(operand))?.stored(format);
    let (equation, syntax) = (ast.to_string(), ast.syntax());
    let place = Place { equation, syntax, plan, operand, entry, config, dtype: T::DTYPE };
    Ok(Frozen { place, side })
}

/// Where an operand is quantized in a plan, and how; an error where it is not.
pub(super) fn site(plan: &Plan, config: &QuantConfig, operand: usize, dtype: Dtype) -> Result<(Entry, TensorConfig)> {
    let operands = plan.sizes().shapes().len();
    if operand >= operands {
        let message = format!("there is no operand {operand} to freeze; there are {operands}");
        return Err(Error::new(ErrorKind::Freeze, message));
    }
    let Some(entry) = plan.entry(operand) else {
        let message = format!("operand {operand} cannot be frozen: the plan multiplies it with nothing");
        return Err(Error::new(ErrorKind::Freeze, message));
    };
    if !plan.slices().is_empty() {
        return Err(exec::unsliced("operands are frozen"));
    }
    config.check_fits(operands)?;
    plan.call_configs(config)[entry.call].forward.check_dtype(dtype, "fwd")?;
    let own = own_config(plan, config, entry);
    if own.int().is_some() { Ok((entry, own)) } else { Err(unquantized(operand)) }
}

fn unquantized(operand: usize) -> Error {
    let message = format!("operand {operand} cannot be frozen: its configuration does not quantize it");
    Error::new(ErrorKind::Freeze, message)
}
