//! `qeinsum freeze`: an operand in, its integers and scales in a file out.

use std::ffi::OsString;

use clap::Args;
use ndarray::ArrayD;
use qeinsum::io::AnyArray;
use qeinsum::{Dtype, Element, Frozen, Plan, QEinsum};

use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::inputs::{Inputs, Loaded};
use crate::memory::{self, Work};
use crate::settings::SettingsArgs;

const EXAMPLES: &str = "\
Examples:
  qeinsum freeze bi,io->bo x.npy w.npy --operand 1 --bits 8 --out w.safetensors
  qeinsum run bi,io->bo x.npy w.safetensors --out y.npy

Of the other operands only the headers are read: their shapes say which plan the operand is frozen in. In later runs they may
be of other sizes.";

/// Quantize one operand once, to stand in its place in later runs
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Freeze {
    #[command(flatten)]
    equation: EquationArg,

    /// The operands, in the order of the equation
    #[arg(value_name = "IN")]
    inputs: Vec<OsString>,

    /// The operand to freeze, from 0
    #[arg(long, value_name = "K")]
    operand: usize,

    /// The file to write: `.safetensors`
    #[arg(long, value_name = "OUT")]
    out: OsString,

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
        let inputs = Inputs::open(&self.inputs)?;
        let shapes: Vec<Vec<usize>> = inputs.shapes().into_iter().map(<[usize]>::to_vec).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let (resolved, sizes) = equation.bind(&shapes)?;
        if self.operand >= shapes.len() {
            let message =
                format!("`--operand {}`: the equation has {} operands, counted from 0", self.operand, shapes.len());
            return Err(Failure::Request(message));
        }
        let dtype = inputs.dtype(settings.cast)?;
        let plan = settings.plan(&resolved, &sizes, dtype)?;
        plan.check_config(config)?;
        memory::check(&plan, dtype, Work::Quantized(config), inputs.converted_bytes(dtype), settings.limit)?;
        let array = match inputs.load_one(self.operand, dtype, settings.nonfinite(Some(config)))? {
            Loaded::Array(array) => array,
            Loaded::Frozen(_) => {
                return Err(Failure::Request(format!("operand {} is frozen already", self.operand)));
            }
        };
        let equation = equation.with_path(plan.path().clone()).with_config(config.clone());
        let freeze = match dtype {
            Dtype::F32 => freeze::<f32>,
            Dtype::F64 => freeze::<f64>,
            Dtype::F16 => freeze::<half::f16>,
            Dtype::Bf16 => freeze::<half::bf16>,
        };
        freeze(&equation, &plan, self.operand, array, settings.key)?.save(&self.out)?;
        Ok(())
    }
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
