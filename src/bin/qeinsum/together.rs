//! What ranks have to have in common before they compute.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher as _};

use qeinsum::Plan;

use crate::failure::Failure;
use crate::inputs::Loaded;
use crate::ranks::{self, Ranks};
use crate::text_file::shown;

/// The plan that the first rank finds, which all have.
pub(crate) fn plan(ranks: Ranks<'_>, find: impl FnOnce() -> Result<Plan, Failure>) -> Result<Plan, Failure> {
    let Some(some) = ranks else { return find() };
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let version = format!("{}, planner {}", env!("CARGO_PKG_VERSION"), qeinsum::PLANNER_VERSION);
    ranks::agree_on(ranks, &format!("the version, {version},"), &version)?;
    ranks::agree_on(ranks, "the command", &arguments.join("\0"))?;
    let found = if some.rank() == 0 { find().map(Some) } else { Ok(None) };
    let found = ranks::agree(ranks, found)?;
    let mut text = found.map(|plan| plan.to_json().into_bytes()).unwrap_or_default();
    some.broadcast(0, &mut text)?;
    let text = String::from_utf8(text).map_err(|_| Failure::Machine("the plan came as no text".to_owned()));
    let read = text.and_then(|text| Plan::from_json(&text).map(|plan| (plan, text)).map_err(Failure::from));
    let (plan, text) = ranks::agree(ranks, read)?;
    ranks::agree_on(ranks, "the plan", &format!("{:016x}", hash(text.as_bytes())))?;
    Ok(plan)
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
