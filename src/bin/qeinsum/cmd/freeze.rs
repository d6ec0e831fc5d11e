//! `qeinsum freeze`: an operand in, its integers and scales in a file out.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use ndarray::ArrayD;
use num_complex::Complex;
use qeinsum::io::AnyArray;
use qeinsum::{Dtype, Element, FlaxLayer, Frozen, Plan, QEinsum, Side};

use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::inputs::{Inputs, Nonfinite};
use crate::memory::{self, Work};
use crate::settings::SettingsArgs;

const EXAMPLES: &str = "\
Examples:
  qeinsum freeze bi,io->bo x.npy w.npy --operand 1 --bits 8 --out w.safetensors
  qeinsum run bi,io->bo x.npy w.safetensors --out y.npy

Of the other operands only the headers are read: their shapes say which plan the operand is frozen in. In later runs they may
be of other sizes.

  qeinsum freeze bi,io->bo --operand 1 --bits 8 --import flax.npz --layer encoder/QDotGeneral_0 --out w.safetensors

An imported operand need not be among the inputs, and of an equation of two operands the other need not be there either.";

/// Quantize one operand once, to stand in its place in later runs
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Freeze {
    #[command(flatten)]
    equation: EquationArg,

    /// The operands, in the order of the equation; under `--import` the frozen one may be left out
    #[arg(value_name = "IN")]
    inputs: Vec<OsString>,

    /// The operand to freeze, from 0
    #[arg(long, value_name = "K")]
    operand: usize,

    /// The file to write: `.safetensors`
    #[arg(long, value_name = "OUT")]
    out: OsString,

    /// Take the operand from a Flax checkpoint flattened to `.npz` or `.safetensors`, which has it converted for serving
    #[arg(long, value_name = "FILE", requires = "layer")]
    import: Option<PathBuf>,

    /// The layer of the checkpoint: what its names have before `/qlhs/value` or `/qrhs/value`
    #[arg(long, value_name = "PATH", requires = "import")]
    layer: Option<String>,

    #[command(flatten)]
    settings: SettingsArgs,
}

impl Freeze {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let equation = self.equation.read()?;
        let settings = self.settings.read()?;
        let Some(config) = &settings.config else {
            return Err(Failure::Request("freezing quantizes: give `--config` or `--bits`".to_owned()));
        };
        qeinsum::io::check_tensors_output(&self.out)?;
        let operands = equation.ast().operands().len();
        if self.operand >= operands {
            let message = format!("`--operand {}`: the equation has {operands} operands, counted from 0", self.operand);
            return Err(Failure::Request(message));
        }
        let inputs = Inputs::open(&self.inputs, settings.limit, None)?;
        let mut shapes: Vec<Vec<usize>> = inputs.shapes().into_iter().map(<[usize]>::to_vec).collect();
        let layer = match (&self.import, &self.layer) {
            (Some(checkpoint), Some(layer)) => Some(FlaxLayer::load(checkpoint, layer)?),
            _ => None,
        };
        if let Some(layer) = &layer {
            complete(&mut shapes, &equation, self.operand, layer)?;
        }
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let (resolved, sizes) = equation.bind(&shapes)?;
        let dtype = match &layer {
            Some(layer) if self.inputs.is_empty() => {
                settings.cast.or_else(|| layer.scale_dtype()).unwrap_or(Dtype::F32)
            }
            _ => inputs.dtype(settings.cast)?,
        };
        let plan = settings.plan((&resolved, &sizes), dtype, &settings.options(), None)?;
        plan.check_config(config)?;
        memory::check(&plan, dtype, Work::Quantized(config), inputs.converted_bytes(dtype), settings.limit)?;
        if let Some(layer) = &layer {
            let equation = equation.with_path(plan.path().clone()).with_config(config.clone());
            let frozen = equation.import(self.operand, layer, &shapes, dtype)?;
            if settings.nonfinite(Some(config)) == Nonfinite::Refused && !frozen.is_finite() {
                let message = "the layer has a NaN or an infinity, which `--allow-nonfinite` would let pass";
                return Err(Failure::Request(message.to_owned()));
            }
            frozen.save(&self.out)?;
            return Ok(());
        }
        let array = inputs.load_one(self.operand, dtype, settings.nonfinite(Some(config)))?;
        let equation = equation.with_path(plan.path().clone()).with_config(config.clone());
        let freeze = match dtype {
            Dtype::F32 => freeze::<f32>,
            Dtype::F64 => freeze::<f64>,
            Dtype::F16 => freeze::<half::f16>,
            Dtype::Bf16 => freeze::<half::bf16>,
            Dtype::C32 => freeze::<Complex<f32>>,
            Dtype::C64 => freeze::<Complex<f64>>,
        };
        freeze(&equation, &plan, self.operand, array, settings.key)?.save(&self.out)?;
        Ok(())
    }
}

/// A size for an axis that nothing tells the size of, which only the other operand of two has.
const ANY_SIZE: usize = 2;

/// The shapes of all operands, where those of the imported one, or of both, were left out.
fn complete(
    shapes: &mut Vec<Vec<usize>>,
    equation: &QEinsum,
    operand: usize,
    layer: &FlaxLayer,
) -> Result<(), Failure> {
    let terms = equation.ast().operands();
    let absent = terms.len().saturating_sub(shapes.len());
    if absent == 0 || (absent > 1 && !shapes.is_empty()) {
        return Ok(());
    }
    let own = match (terms.len(), layer.shape(Side::Lhs), layer.shape(Side::Rhs)) {
        (2, lhs, rhs) => [lhs, rhs][operand],
        (_, Some(only), None) | (_, None, Some(only)) => Some(only),
        _ => None,
    };
    let Some(own) = own else {
        return Err(Failure::Request(format!(
            "the layer does not tell the shape of operand {operand}: give all operands, of which only the headers are read"
        )));
    };
    if absent == 1 {
        shapes.insert(operand, own.to_vec());
        return Ok(());
    }
    let ast = equation.ast();
    if terms.len() != 2 || terms.iter().any(|term| term.ellipsis().is_some()) {
        let message =
            "the layer does not tell the shapes of the other operands: give them, of which only the headers are read";
        return Err(Failure::Request(message.to_owned()));
    }
    let names: Vec<&str> = terms[operand].labels().map(|label| ast.slice(label)).collect();
    let size =
        |name: &str| names.iter().zip(own).find(|(known, _)| **known == name).map_or(ANY_SIZE, |(_, &size)| size);
    let other = terms[1 - operand].labels().map(|label| size(ast.slice(label))).collect();
    shapes.push(own.to_vec());
    shapes.insert(1 - operand, other);
    Ok(())
}

fn freeze<T: Element>(
    equation: &QEinsum,
    plan: &Plan,
    operand: usize,
    array: AnyArray,
    key: Option<qeinsum::Key>,
) -> Result<Frozen, Failure>
where
    ArrayD<T>: TryFrom<AnyArray>,
{
    let shapes: Vec<&[usize]> = plan.sizes().shapes().iter().map(|shape| &shape[..]).collect();
    let array: ArrayD<T> =
        array.try_into().map_err(|_| Failure::Request(format!("operand {operand} is not {}", T::DTYPE)))?;
    Ok(equation.freeze(operand, &array, &shapes, key)?)
}
