//! `qeinsum vjp`: a result and the gradients of its operands.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ndarray::{ArrayD, ArrayViewD};
use num_complex::Complex;
use qeinsum::io::{self, AnyArray};
use qeinsum::parse::Note;
use qeinsum::ranks::Communicator;
use qeinsum::spread::Spread;
use qeinsum::{Dtype, Element, Equation, Plan, QuantConfig, Sizes};

use crate::console;
use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::inputs::{Inputs, Loaded};
use crate::kept_file::bytes;
use crate::memory::{self, Work};
use crate::progress::{moved, watched};
use crate::ranks::{self, Ranks};
use crate::settings::{Settings, SettingsArgs};
use crate::text_file::shown;
use crate::together::{self, Sharing};

const EXAMPLES: &str = "\
Examples:
  qeinsum vjp bi,io->bo x.npy w.npy --cotangent g.npy --out-dir grads
  qeinsum vjp bi,io->bo x.npy w.npy --cotangent g.npy --out-dir grads --bits 8 --seed 0
  qeinsum vjp bi,io->bo x.npy w.npy --cotangent g.npy --out-dir grads --wrt 1

Writes out.npy, d0.npy, d1.npy, ...: the result, and the gradient of each operand. Arrays of bf16, which .npy does not have,
go to one gradients.safetensors as tensors of these names.";

/// Compute a result and the gradients of its operands: each gradient is a quantized call of its own
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Vjp {
    #[command(flatten)]
    equation: EquationArg,

    /// The operands, in the order of the equation
    #[arg(value_name = "IN")]
    inputs: Vec<OsString>,

    /// The gradient of the result, in its shape
    #[arg(long, value_name = "G")]
    cotangent: OsString,

    /// The folder for what is written; it is made where there is none
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,

    /// Only the gradients of these operands, such as `0,2`
    #[arg(long, value_name = "K,...", value_delimiter = ',')]
    wrt: Option<Vec<usize>>,

    #[command(flatten)]
    settings: SettingsArgs,
}

impl Vjp {
    pub(crate) fn run(&self, ranks: Ranks<'_>) -> Result<(), Failure> {
        let Asked { resolved, sizes, inputs, dtype, notes, settings, wrt } = ranks::agree(ranks, self.asked(ranks))?;
        together::check_asked(ranks, (&resolved, &sizes), dtype, &settings)?;
        let planned = together::plan_of_gradients(ranks, (&resolved, &sizes), dtype, &settings)?;
        let plan = &planned.plan;
        let config = settings.config.as_ref();
        ranks::agree(ranks, self.check(plan, &inputs, &settings))?;
        let bytes = |spread: &Spread| {
            let read = inputs.shared_converted_bytes(dtype, plan, spread);
            spread.gradient_bytes(plan, dtype, config)?.checked_add(read)
        };
        let limit = settings.plan_limit().map_or(settings.limit, |limit| limit.min(settings.limit));
        let gradients = |spread: Spread| spread.for_gradients(plan, dtype, config);
        let sharing = together::sharing(ranks, &planned, &inputs, config, (limit, bytes), gradients)?;
        let room = if let Some(Sharing { spread, .. }) = &sharing {
            memory::within(bytes(spread), limit)
        } else {
            let work = config.map_or(Work::Float, Work::Quantized);
            let converted = inputs.converted_bytes(dtype);
            memory::check_gradients(plan, dtype, work, converted, settings.limit, settings.plan_limit())
        };
        ranks::agree(ranks, room)?;
        let parts = sharing.as_ref().map(|sharing| sharing.parts.as_slice());
        let arrays = ranks::agree(ranks, inputs.load(dtype, settings.nonfinite(config), parts))?;
        let compute = match dtype {
            Dtype::F32 => compute::<f32>,
            Dtype::F64 => compute::<f64>,
            Dtype::F16 => compute::<half::f16>,
            Dtype::Bf16 => compute::<half::bf16>,
            Dtype::C32 => compute::<Complex<f32>>,
            Dtype::C64 => compute::<Complex<f64>>,
        };
        let computed = watched("running", || compute(plan, arrays, &wrt, &settings, ranks.zip(sharing.as_ref())));
        let (out, gradients) = computed.map_err(|failure| ranks::fail(ranks, failure))?;
        console::notes(&notes);
        if settings.config.is_none() {
            self.settings.note_unused();
        }
        let named = wrt.iter().map(|operand| format!("d{operand}")).zip(gradients);
        let arrays: Vec<(String, AnyArray)> = std::iter::once(("out".to_owned(), out)).chain(named).collect();
        ranks::agree(ranks, if ranks::is_first(ranks) { self.write(dtype, &arrays) } else { Ok(()) })
    }

    /// The cotangent last: it is of the operands' type, and read under the same rules.
    fn files(&self) -> Vec<OsString> {
        self.inputs.iter().chain([&self.cotangent]).cloned().collect()
    }

    /// What is asked for, headers read and outputs checked.
    fn asked(&self, ranks: Ranks<'_>) -> Result<Asked<'_>, Failure> {
        let equation = self.equation.read()?;
        let settings = self.settings.read()?;
        let files = self.files();
        if ranks.is_some() && files.iter().any(|file| file == "-") {
            return Err(Failure::Request("standard input is that of rank 0 alone: give a file".to_owned()));
        }
        let inputs = Inputs::open(&files, settings.limit, ranks)?;
        if inputs.any_frozen() {
            let message = "a frozen operand keeps integers, and gradients need floats: give the operand itself";
            return Err(Failure::Request(message.to_owned()));
        }
        let mut shapes = inputs.shapes();
        shapes.pop();
        let (resolved, sizes) = equation.bind(&shapes)?;
        let ranks_of: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let notes = equation.notes(&ranks_of)?;
        let dtype = inputs.dtype(settings.cast)?;
        let wrt = self.wrt.clone().unwrap_or_else(|| (0..ranks_of.len()).collect());
        if let Some(operand) = wrt.iter().find(|&&operand| operand >= ranks_of.len()) {
            let message = format!("`--wrt {operand}`: the equation has {} operands, counted from 0", ranks_of.len());
            return Err(Failure::Request(message));
        }
        if let Some((_, operand)) = wrt.iter().enumerate().find(|(at, operand)| wrt[..*at].contains(operand)) {
            let message = format!("`--wrt`: the gradient of operand {operand} is asked for twice");
            return Err(Failure::Request(message));
        }
        if ranks::is_first(ranks) {
            self.check_folder()?;
            self.check_outputs(dtype, &wrt)?;
        }
        Ok(Asked { resolved, sizes, inputs, dtype, notes, settings, wrt })
    }

    /// That the inputs fit the plan.
    fn check(&self, plan: &Plan, inputs: &Inputs, settings: &Settings<'_>) -> Result<(), Failure> {
        let cotangent = inputs.shapes().pop().unwrap_or_default().to_vec();
        let expected = plan.value(plan.output()).shape();
        if cotangent != expected {
            let name = shown(&self.cotangent);
            let message = format!("`{name}`: the result has shape {expected:?}, but the cotangent has {cotangent:?}");
            return Err(Failure::Request(message));
        }
        let config = settings.config.as_ref();
        if let Some(config) = config {
            plan.check_config(config)?;
            check_key(plan, config, settings)?;
        }
        Ok(())
    }

    fn check_folder(&self) -> Result<(), Failure> {
        let name = shown(self.out_dir.as_os_str());
        match fs::metadata(&self.out_dir) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(Failure::Request(format!("`{name}`: not a folder"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::of_file(&name, "open", &error)),
        }
    }

    /// Says before anything is computed what would keep a file from being written, in a folder that is there.
    fn check_outputs(&self, dtype: Dtype, wrt: &[usize]) -> Result<(), Failure> {
        if !self.out_dir.is_dir() {
            return Ok(());
        }
        if dtype == Dtype::Bf16 {
            return Ok(io::check_tensors_output(self.out_dir.join(TENSORS))?);
        }
        let names = std::iter::once("out".to_owned()).chain(wrt.iter().map(|operand| format!("d{operand}")));
        for name in names {
            io::check_output(self.out_dir.join(format!("{name}.npy")), dtype)?;
        }
        Ok(())
    }

    /// Writes everything that was computed; each file whole or not at all.
    fn write(&self, dtype: Dtype, arrays: &[(String, AnyArray)]) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            let name = shown(self.out_dir.as_os_str());
            Failure::Machine(format!("`{name}`: cannot make the folder: {error}"))
        };
        fs::create_dir_all(&self.out_dir).map_err(failed)?;
        let path = |name: &str| -> PathBuf { self.out_dir.join(Path::new(OsStr::new(name))) };
        if dtype == Dtype::Bf16 {
            let tensors: Vec<(&str, &AnyArray)> = arrays.iter().map(|(name, array)| (name.as_str(), array)).collect();
            io::save_tensors(path(TENSORS), &tensors, &std::collections::BTreeMap::new())?;
            return Ok(());
        }
        let all = arrays.iter().map(|(_, array)| bytes(&array.header())).fold(0, u64::saturating_add);
        moved("writing", all, || {
            for (name, array) in arrays {
                io::save(path(&format!("{name}.npy")), array)?;
            }
            Ok(())
        })
    }
}

/// What gradients are asked for.
struct Asked<'a> {
    resolved: Equation,
    sizes: Sizes,
    inputs: Inputs,
    dtype: Dtype,
    notes: Vec<Note>,
    settings: Settings<'a>,
    wrt: Vec<usize>,
}

/// The file of what `.npy` files cannot hold.
const TENSORS: &str = "gradients.safetensors";

/// Noise is asked for by most configurations of gradients, which then need a seed.
fn check_key(plan: &Plan, config: &QuantConfig, settings: &Settings<'_>) -> Result<(), Failure> {
    let noisy = plan
        .call_configs(config)
        .iter()
        .any(|config| config.forward.needs_key() || config.dlhs.call.needs_key() || config.drhs.call.needs_key());
    if noisy && settings.key.is_none() {
        return Err(Failure::Request("the configuration adds noise to gradients: give `--seed`".to_owned()));
    }
    Ok(())
}

fn compute<T: Element>(
    plan: &Plan,
    arrays: Vec<Loaded>,
    wrt: &[usize],
    settings: &Settings<'_>,
    ranks: Option<(&dyn Communicator, &Sharing)>,
) -> Result<(AnyArray, Vec<AnyArray>), Failure>
where
    AnyArray: From<ArrayD<T>>,
    ArrayD<T>: TryFrom<AnyArray>,
{
    // All were read as this type; were one not, the run would refuse the shorter list.
    let arrays = arrays.into_iter().filter_map(|loaded| match loaded {
        Loaded::Array(array) => array.try_into().ok(),
        Loaded::Frozen(_) | Loaded::FrozenFile(_) | Loaded::Kept(_) => None,
    });
    let mut arrays: Vec<ArrayD<T>> = arrays.collect();
    let Some(cotangent) = arrays.pop() else { return Err(Failure::Request("there is no cotangent".to_owned())) };
    let views: Vec<ArrayViewD<'_, T>> = arrays.iter().map(|array| array.view()).collect();
    if let Some((ranks, sharing)) = ranks {
        let (config, key) = (settings.config.as_ref(), settings.key);
        let (out, pullback) = plan.vjp_parts_on(ranks, &sharing.spread, views, config, key)?;
        let gradients = pullback.wrt(wrt)?.pull_for_first(&cotangent)?.unwrap_or_default();
        return Ok((out.into(), gradients.into_iter().map(AnyArray::from).collect()));
    }
    let (out, pullback) = plan.vjp(views, settings.config.as_ref(), settings.key)?;
    let gradients = pullback.wrt(wrt)?.pull(&cotangent)?;
    Ok((out.into(), gradients.into_iter().map(AnyArray::from).collect()))
}
