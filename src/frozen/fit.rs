//! Whether a frozen operand fits where it is passed.

use std::fmt;

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, Held, Value, check};
use crate::kernel::Element;
use crate::lower::{Entry, Plan, ValueId};
use crate::operands::OperandView;
use crate::parse::Ast;
use crate::quant::QuantConfig;
use crate::stored::Stored;

use super::{Frozen, call, own_config};

/// The operands of a run as its calls take them, and where frozen ones enter.
pub(crate) struct Served<'a, T> {
    pub(crate) known: Vec<(ValueId, Held<'a, T>)>,
    pub(crate) frozen: Vec<Entry>,
}

impl<'a, T: Element> Served<'a, T> {
    /// Those that are not in memory yet.
    pub(crate) fn stored(&self) -> Vec<(ValueId, &'a dyn Stored<T>)> {
        let stored = self.known.iter().filter_map(|(id, held)| match held {
            Held::Stored(stored) => Some((*id, *stored)),
            _ => None,
        });
        stored.collect()
    }

    /// The bytes that a run of the plan has of those at a time.
    pub(crate) fn read_bytes(&self, plan: &Plan) -> u64 {
        let stored = self.stored();
        if stored.is_empty() { 0 } else { exec::held_bytes(plan, &stored) }
    }
}

/// Checks operands against a plan; frozen ones take the place of what their call would read.
///
/// `ast` is the equation as its user wrote it, where that is known.
pub(crate) fn serve<'a, T: Element>(
    plan: &Plan,
    ast: Option<&Ast>,
    config: Option<&QuantConfig>,
    operands: Vec<OperandView<'a, T>>,
) -> Result<Served<'a, T>> {
    check(plan, &operands.iter().map(OperandView::shape).collect::<Vec<_>>())?;
    let mut served = Served { known: Vec::with_capacity(operands.len()), frozen: Vec::new() };
    for (position, operand) in operands.into_iter().enumerate() {
        match operand {
            OperandView::Array(array) => {
                served.known.push((ValueId::new(position), Held::Value(Value::Borrowed(array))));
            }
            OperandView::Frozen(frozen) => {
                let entry = frozen.fits(plan, ast, config, position, T::DTYPE)?;
                served.known.push((entry.value, Held::Frozen(&frozen.side, None)));
                served.frozen.push(entry);
            }
            OperandView::Stored(stored) => served.known.push((ValueId::new(position), Held::Stored(stored))),
        }
    }
    Ok(served)
}

impl Frozen {
    /// Where this enters `plan` as operand `position`; an error where it is not what that place would quantize.
    pub(super) fn fits(
        &self,
        plan: &Plan,
        ast: Option<&Ast>,
        config: Option<&QuantConfig>,
        position: usize,
        dtype: Dtype,
    ) -> Result<Entry> {
        let refuse = |reason: String| Err(Error::new(ErrorKind::Freeze, format!("operand {position} {reason}")));
        // An ellipsis may stand for more axes than it did; spelled out, equations may still be the same.
        let (written, resolved) = (ast.map(Ast::to_string), plan.equation().to_string());
        if written.as_ref() != Some(&self.equation) && resolved != self.plan.equation().to_string() {
            let here = written.unwrap_or(resolved);
            return refuse(format!("was frozen for `{}`, not for `{here}`", self.equation));
        }
        if self.operand != position {
            return refuse(format!("was frozen as operand {} of `{}`", self.operand, self.equation));
        }
        if self.dtype != dtype {
            return refuse(format!("was frozen for {} operands, not for {dtype}", self.dtype));
        }
        let Some(config) = config else {
            return refuse(
                "is frozen, but the run has no configuration; give it the one it was frozen with".to_owned(),
            );
        };
        let Some(entry) = plan.entry(position) else {
            return refuse("is frozen, but the plan multiplies it with nothing".to_owned());
        };
        if own_config(plan, config, entry) != self.tensor_config() {
            return refuse("was frozen with a configuration that quantizes it otherwise than this one".to_owned());
        }
        let (here, there) = (Reading::of(plan, entry), Reading::of(&self.plan, self.entry));
        if here != there || plan.value(entry.value).shape() != self.side.shape() {
            return refuse(format!(
                "was frozen for a call that reads it as {there} on path {}, not as {here} on path {}: give the run the path \
                 and the axes of size 1 that it was frozen with",
                self.plan.order(),
                plan.order()
            ));
        }
        if self.tensor_config().noise().is_some() && entry.call != self.entry.call {
            return refuse(format!(
                "was frozen with the noise of call {}, but enters call {} here: give the run the path that it was frozen in, \
                 {}",
                self.entry.call,
                entry.call,
                self.plan.order()
            ));
        }
        Ok(entry)
    }
}

/// How a call reads an operand: the labels that it still has there, and which of them are contracted.
///
/// A label that is 1 elsewhere may be summed before, so that what is left has the same shape but other labels.
#[derive(PartialEq, Eq)]
struct Reading<'a> {
    labels: Vec<&'a str>,
    shape: &'a [usize],
    contracted: Vec<&'a str>,
}

impl<'a> Reading<'a> {
    fn of(plan: &'a Plan, entry: Entry) -> Self {
        let value = plan.value(entry.value);
        let labels: Vec<&str> = value.labels().iter().map(|&label| plan.equation().name(label)).collect();
        let dims = call(plan, entry).0;
        let mut axes = entry.side.of(dims.lhs_contracting(), dims.rhs_contracting());
        axes.sort_unstable();
        let contracted = axes.iter().map(|&axis| labels[axis]).collect();
        Self { labels, shape: value.shape(), contracted }
    }
}

impl fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> =
            self.labels.iter().zip(self.shape).map(|(label, size)| format!("{label}={size}")).collect();
        write!(f, "[{}] contracted over [{}]", axes.join(","), self.contracted.join(","))
    }
}
