//! The operands of a run, frozen ones among them.

use crate::error::Result;
use crate::exec::{self, Held, StoredSide, Value, check};
use crate::kernel::Element;
use crate::lower::{Entry, Plan, ValueId};
use crate::operands::OperandView;
use crate::parse::Ast;
use crate::quant::QuantConfig;
use crate::stored::Stored;

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

    /// The sides that are not in memory yet.
    pub(crate) fn stored_sides(&self) -> impl Iterator<Item = (ValueId, &'a dyn StoredSide)> {
        self.known.iter().filter_map(|(id, held)| match held {
            Held::StoredSide(stored) => Some((*id, *stored)),
            _ => None,
        })
    }

    /// The bytes that a run of the plan has of those at a time.
    pub(crate) fn read_bytes(&self, plan: &Plan) -> u64 {
        let stored = self.stored();
        let arrays = if stored.is_empty() { 0 } else { exec::held_bytes(plan, &stored) };
        self.stored_sides().fold(arrays, |bytes, (_, side)| bytes.saturating_add(side.bytes(None)))
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
    list(plan, ast, config, operands)
}

/// The same for operands whose shapes were checked, or are those of parts.
pub(crate) fn list<'a, T: Element>(
    plan: &Plan,
    ast: Option<&Ast>,
    config: Option<&QuantConfig>,
    operands: Vec<OperandView<'a, T>>,
) -> Result<Served<'a, T>> {
    let mut served = Served { known: Vec::with_capacity(operands.len()), frozen: Vec::new() };
    for (position, operand) in operands.into_iter().enumerate() {
        match operand {
            OperandView::Array(array) => {
                served.known.push((ValueId::new(position), Held::Value(Value::Borrowed(array))));
            }
            OperandView::Frozen(frozen) => {
                let entry = frozen.place.fits(plan, ast, config, position, T::DTYPE)?;
                served.known.push((entry.value, Held::Frozen(&frozen.side, None)));
                served.frozen.push(entry);
            }
            OperandView::FrozenFile(file) => {
                let entry = file.place.fits(plan, ast, config, position, T::DTYPE)?;
                served.known.push((entry.value, Held::StoredSide(file)));
                served.frozen.push(entry);
            }
            OperandView::Stored(stored) => served.known.push((ValueId::new(position), Held::Stored(stored))),
        }
    }
    Ok(served)
}
