//! All that this program knows of qeinsum.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use ndarray::ArrayD;
use qeinsum::{Compiled, DotGeneralConfig, QEinsum, Serving, peak};

use crate::Fault;
use crate::contestant::{Contestant, Output};
use crate::operands::Operands;

/// Multiplications of the order that it finds.
pub fn multiplications(equation: &str, operands: &Operands) -> Result<f64, Fault> {
    Ok(QEinsum::new(equation)?.plan(&operands.shapes())?.multiplications().to_f64())
}

/// The order that it finds, each step the ids of two operands or earlier results.
pub fn order(equation: &str, operands: &Operands) -> Result<Vec<[usize; 2]>, Fault> {
    Ok(QEinsum::new(equation)?.plan(&operands.shapes())?.path().ssa())
}

/// GOP/s that so many threads can do at most, in int8 and in f32.
pub fn peaks(threads: NonZeroUsize) -> (f64, f64) {
    (peak::int8(threads), peak::f32(threads))
}

pub fn float(equation: &str, operands: &Operands) -> Result<Box<dyn Contestant>, Fault> {
    let compiled = QEinsum::new(equation)?.compile(&operands.shapes())?;
    Ok(Box::new(Handle { compiled, operands: Arc::clone(&operands.floats) }))
}

pub fn quantized(equation: &str, operands: &Operands) -> Result<Box<dyn Contestant>, Fault> {
    Ok(Box::new(Handle { compiled: quantizing(equation, operands)?, operands: Arc::clone(&operands.floats) }))
}

/// Quantized, with the last operand frozen before.
pub fn frozen(equation: &str, operands: &Operands) -> Result<Box<dyn Contestant>, Fault> {
    let compiled = quantizing(equation, operands)?;
    let (last, open) = operands.floats.split_last().ok_or("nothing to freeze")?;
    let frozen = compiled.freeze(open.len(), last, None)?;
    Ok(Box::new(Served { serving: compiled.serve(vec![frozen])?, operands: Arc::clone(&operands.floats) }))
}

/// From the text of the equation to the result, in f32.
pub fn from_text(equation: &str, operands: &Operands) -> Result<Box<dyn Contestant>, Fault> {
    Ok(Box::new(FromText { equation: equation.to_owned(), operands: Arc::clone(&operands.floats) }))
}

fn quantizing(equation: &str, operands: &Operands) -> Result<Compiled, Fault> {
    let config = DotGeneralConfig::v4().build()?;
    let compiled = QEinsum::new(equation)?.with_config(config).compile(&operands.shapes())?;
    if compiled.plan().calls().next().is_none() {
        return Err("nothing is quantized: the plan has no product".into());
    }
    Ok(compiled)
}

struct Handle {
    compiled: Compiled,
    operands: Arc<[ArrayD<f32>]>,
}

impl Contestant for Handle {
    fn run(&mut self) -> Result<(), Fault> {
        let operands = black_box(&*self.operands);
        // What needs no copy is a view, as NumPy's is.
        if let [operand] = operands
            && let Some(view) = self.compiled.view(operand)?
        {
            black_box(view);
            return Ok(());
        }
        black_box(self.compiled.run(operands)?);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        Ok(Output::Array(self.compiled.run(&*self.operands)?))
    }
}

struct Served {
    serving: Serving<f32>,
    operands: Arc<[ArrayD<f32>]>,
}

impl Served {
    fn open(&self) -> &[ArrayD<f32>] {
        &self.operands[..self.serving.open().len()]
    }
}

impl Contestant for Served {
    fn run(&mut self) -> Result<(), Fault> {
        black_box(self.serving.run(black_box(self.open()))?);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        Ok(Output::Array(self.serving.run(self.open())?))
    }
}

struct FromText {
    equation: String,
    operands: Arc<[ArrayD<f32>]>,
}

impl Contestant for FromText {
    fn run(&mut self) -> Result<(), Fault> {
        black_box(QEinsum::new(black_box(&self.equation))?.run(black_box(&*self.operands))?);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        Ok(Output::Array(QEinsum::new(&self.equation)?.run(&*self.operands)?))
    }
}
