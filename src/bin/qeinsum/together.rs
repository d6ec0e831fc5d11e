//! What ranks have to have in common before they compute.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher as _};

use qeinsum::spread::Spread;
use qeinsum::{Dtype, Equation, Plan, QuantConfig, Sizes};

use crate::failure::Failure;
use crate::inputs::{Inputs, Loaded, Part};
use crate::ranks::{self, Ranks};
use crate::settings::Settings;
use crate::text_file::shown;

/// That ranks are asked for the same in the same way, after which they can search for it together.
pub(crate) fn check_asked(
    ranks: Ranks<'_>,
    (equation, sizes): (&Equation, &Sizes),
    dtype: Dtype,
    settings: &Settings<'_>,
) -> Result<(), Failure> {
    if ranks.is_none() {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let version = format!("{}, planner {}", env!("CARGO_PKG_VERSION"), qeinsum::PLANNER_VERSION);
    ranks::agree_on(ranks, &format!("the version, {version},"), &version)?;
    ranks::agree_on(ranks, "the command", &arguments.join("\0"))?;
    ranks::agree_on(ranks, "the shape or type of an input", &format!("{equation} {sizes:?} {dtype}"))?;
    let files = format!("{:?} {:?} {:?}", settings.options(), settings.config, settings.plan);
    ranks::agree_on(ranks, "what a file of the command's flags holds", &format!("{:016x}", hash(files.as_bytes())))
}

/// The plan that all ranks find together.
pub(crate) fn plan(ranks: Ranks<'_>, find: impl FnOnce() -> Result<Plan, Failure>) -> Result<Plan, Failure> {
    let plan = ranks::agree(ranks, find())?;
    if ranks.is_some() {
        ranks::agree_on(ranks, "the plan", &format!("{:016x}", hash(plan.to_json().as_bytes())))?;
    }
    Ok(plan)
}

/// How ranks share a run of whose inputs each reads a part.
pub(crate) struct Sharing {
    pub(crate) spread: Spread,
    /// What this rank reads of each input.
    pub(crate) parts: Vec<Part>,
}

/// How ranks share a plan; none where each has to read every input: alone, in slices, and frozen ones.
pub(crate) fn sharing(
    ranks: Ranks<'_>,
    plan: &Plan,
    inputs: &Inputs,
    config: Option<&QuantConfig>,
) -> Result<Option<Sharing>, Failure> {
    let Some(some) = ranks.filter(|_| plan.slices().is_empty() && !inputs.any_frozen()) else { return Ok(None) };
    inputs.check_samples(ranks)?;
    let spread = Spread::on(some, plan, config)?;
    let operands = 0..plan.equation().operands().len();
    let parts = operands.map(|operand| spread.part(plan, operand, some.rank())).collect();
    Ok(Some(Sharing { spread, parts }))
}

/// That every rank has read the same from every file.
pub(crate) fn check_inputs(ranks: Ranks<'_>, names: &[OsString], operands: &[Loaded]) -> Result<(), Failure> {
    if ranks.is_none() {
        return Ok(());
    }
    for (name, operand) in names.iter().zip(operands) {
        ranks::agree_on(ranks, &format!("what `{}` holds", shown(name)), &format!("{:016x}", operand.fingerprint()))?;
    }
    Ok(())
}

/// The same for the same bytes, in processes of one version.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
