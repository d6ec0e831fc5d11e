//! What ranks have to have in common before they compute.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, Instant};

use qeinsum::spread::Spread;
use qeinsum::{Dtype, Equation, ErrorKind, Plan, QuantConfig, Sizes};

use crate::failure::Failure;
use crate::inputs::{Inputs, Loaded, Part};
use crate::ranks::{self, Ranks};
use crate::settings::{Settings, Unplanned};
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

/// A plan that all ranks have.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// The bytes that each rank has to stay within though one process cannot, and what that one would say.
    pub(crate) only_within: Option<(u64, Failure)>,
}

/// The plan that all ranks find together: that of one process, or where it finds none within the limit of memory, the one without
/// a limit, of whose values ranks have parts.
pub(crate) fn plan(
    ranks: Ranks<'_>,
    (equation, sizes): (&Equation, &Sizes),
    dtype: Dtype,
    (settings, inputs): (&Settings<'_>, &Inputs),
) -> Result<Planned, Failure> {
    let start = Instant::now();
    let found = |options| settings.plan((equation, sizes), dtype, &options, ranks);
    let alone = match found(settings.options()) {
        // What one process would then refuse.
        Ok(plan) if !plan.slices().is_empty() && inputs.any_frozen() && settings.plan.is_none() => {
            Err(Unplanned::OverLimit(frozen_in_slices()))
        }
        found => found,
    };
    let planned = match (alone, ranks, settings.plan_limit()) {
        (Err(Unplanned::OverLimit(failure)), Some(_), Some(limit)) => {
            found(settings.unlimited(start.elapsed())).map(|plan| Planned { plan, only_within: Some((limit, failure)) })
        }
        (found, ..) => found.map(|plan| Planned { plan, only_within: None }),
    };
    let planned = ranks::agree(ranks, planned.map_err(Failure::from))?;
    agree_on_plan(ranks, &planned.plan)?;
    Ok(planned)
}

/// The plan of a run that keeps what gradients need, which takes more than a limit of a plan knows of: ranks stay within that with
/// all they do.
pub(crate) fn plan_of_gradients(
    ranks: Ranks<'_>,
    (equation, sizes): (&Equation, &Sizes),
    dtype: Dtype,
    settings: &Settings<'_>,
) -> Result<Planned, Failure> {
    let options = if ranks.is_some() { settings.unlimited(Duration::ZERO) } else { settings.options() };
    let plan = settings.plan((equation, sizes), dtype, &options, ranks).map_err(Failure::from);
    let plan = ranks::agree(
        ranks,
        plan.and_then(|plan| {
            if plan.slices().is_empty() {
                return Ok(plan);
            }
            Err(Failure::Request("gradients are taken by plans without slices only".to_owned()))
        }),
    )?;
    agree_on_plan(ranks, &plan)?;
    Ok(Planned { plan, only_within: None })
}

/// That frozen operands are given to a plan in slices.
pub(crate) fn frozen_in_slices() -> Failure {
    Failure::Request("frozen operands are taken by plans without slices only: give no `--slice`, and a `--memory-limit` that needs none".to_owned())
}

fn agree_on_plan(ranks: Ranks<'_>, plan: &Plan) -> Result<(), Failure> {
    if ranks.is_none() {
        return Ok(());
    }
    ranks::agree_on(ranks, "the plan", &format!("{:016x}", hash(plan.to_json().as_bytes())))
}

/// How ranks share a run of whose inputs each reads a part.
pub(crate) struct Sharing {
    pub(crate) spread: Spread,
    /// What this rank reads of each input.
    pub(crate) parts: Vec<Part>,
}

/// How ranks share a plan so that `bytes` of what is made of a choice are no more on any than a limit, or the one of the plan;
/// none where each has to read every input: alone, and in slices.
pub(crate) fn sharing(
    ranks: Ranks<'_>,
    planned: &Planned,
    inputs: &Inputs,
    config: Option<&QuantConfig>,
    (limit, bytes): (u64, impl Fn(&Spread) -> Option<u64>),
    refine: impl Fn(Spread) -> Spread,
) -> Result<Option<Sharing>, Failure> {
    let Planned { plan, only_within } = planned;
    let Some(some) = ranks.filter(|_| plan.slices().is_empty()) else {
        let refused = only_within.as_ref().map_or(Ok(None), |(_, failure)| Err(failure.clone()));
        return ranks::agree(ranks, refused);
    };
    inputs.check_samples(ranks)?;
    let limit = only_within.as_ref().map_or(limit, |(own, _)| limit.min(*own));
    let spread = Spread::within(some, plan, config, limit, |spread| bytes(&refine(spread.clone())))
        .map(&refine)
        .map_err(|error| match (error.kind(), only_within) {
            (ErrorKind::Limit, None) => {
                Failure::Request(format!("{error}; `--max-memory` and `--memory-limit` set how many it may take"))
            }
            _ => Failure::from(error),
        });
    let spread = ranks::agree(ranks, spread)?;
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
        // What is not read yet was looked at in samples.
        let Some(fingerprint) = operand.fingerprint() else { continue };
        ranks::agree_on(ranks, &format!("what `{}` holds", shown(name)), &format!("{fingerprint:016x}"))?;
    }
    Ok(())
}

/// The same for the same bytes, in processes of one version.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
