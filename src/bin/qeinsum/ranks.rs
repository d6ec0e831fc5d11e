//! Several processes that run one command together, as `mpirun` starts them.
//!
//! Each does the same: it reads its arguments and its inputs, has its part of what is computed, and goes on to the end. After
//! each thing that one of them may fail at alone they tell each other, so that one says what is wrong and all end. The first
//! one plans, and writes what comes out.

use std::time::Duration;

use qeinsum::ranks::Communicator;

use crate::failure::Failure;

/// Where an MPI says how many processes it has started; of several of them the first that is there counts.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"];

/// How many processes `mpirun` has started.
fn started() -> usize {
    SIZES.iter().find_map(|name| std::env::var(name).ok()?.parse().ok()).unwrap_or(1)
}

/// Where an MPI says which of them this is.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];

/// Which of several processes this is, before they can talk to each other.
fn started_as() -> usize {
    RANKS.iter().find_map(|name| std::env::var(name).ok()?.parse().ok()).filter(|_| started() > 1).unwrap_or(0)
}

/// Whether this is the process that shows a help text, which all were asked for.
pub(crate) fn is_started_first() -> bool {
    started_as() == 0
}

/// Lets the first of several processes say what is wrong, where it is wrong for all: it ends, and `mpirun` ends the others.
pub(crate) fn after_the_first() {
    std::thread::sleep(Duration::from_secs(3 * started_as().min(2) as u64));
}

/// MPI, where this is one of several processes; it ends when this is dropped.
#[cfg(feature = "mpi")]
pub(crate) fn start() -> Result<Option<qeinsum::ranks::Universe>, Failure> {
    if started() < 2 {
        return Ok(None);
    }
    Ok(Some(qeinsum::ranks::Universe::start()?))
}

/// Without MPI each of several processes would take itself for the only one, and all would write the same file.
#[cfg(not(feature = "mpi"))]
pub(crate) fn check() -> Result<(), Failure> {
    match started() {
        0 | 1 => Ok(()),
        several => Err(Failure::Request(format!(
            "`mpirun` has started {several} processes, but this qeinsum was built without MPI: build it with `--features mpi`"
        ))),
    }
}

/// The ranks of a command; alone, there are none.
pub(crate) type Ranks<'r> = Option<&'r dyn Communicator>;

/// Whether this is the one that prints and writes.
pub(crate) fn is_first(ranks: Ranks<'_>) -> bool {
    ranks.is_none_or(|ranks| ranks.rank() == 0)
}

/// What this rank has found, if no rank has failed; else the first that has says why.
pub(crate) fn agree<T>(ranks: Ranks<'_>, found: Result<T, Failure>) -> Result<T, Failure> {
    let Some(ranks) = ranks else { return found };
    let told = match &found {
        Ok(_) => Vec::new(),
        Err(failure) => vec![failure.code().max(1)],
    };
    let all = ranks.gather(told)?;
    let Some(first) = all.iter().position(|told| !told.is_empty()) else { return found };
    match found {
        // What all of them met is nothing of this one.
        Err(failure) if first == ranks.rank() && all.iter().all(|told| !told.is_empty()) => Err(failure),
        Err(failure) if first == ranks.rank() => Err(failure.on_rank(first)),
        _ => Err(Failure::Elsewhere(all[first].first().copied().unwrap_or(1))),
    }
}

/// That all ranks have the same of something; an error says what, on the first rank that has another.
pub(crate) fn agree_on(ranks: Ranks<'_>, what: &str, own: &str) -> Result<(), Failure> {
    let Some(some) = ranks else { return Ok(()) };
    let all = some.gather(own.as_bytes().to_vec())?;
    let is_same = all.first().is_some_and(|first| *first == own.as_bytes());
    let found = if is_same { Ok(()) } else { Err(Failure::Request(format!("{what} is another than on rank 0"))) };
    agree(ranks, found)
}

/// Ends the process after something that others may wait for and never get: `mpirun` then ends them.
pub(crate) fn fail(ranks: Ranks<'_>, failure: Failure) -> Failure {
    let Some(some) = ranks else { return failure };
    // Where all have failed alike, the first is the one that is heard.
    std::thread::sleep(Duration::from_millis(250 * some.rank().min(8) as u64));
    failure.on_rank(some.rank()).report();
    std::process::exit(failure.code().max(1).into())
}

/// What a command that ranks do not share is refused with.
pub(crate) fn refuse(ranks: Ranks<'_>, what: &str) -> Result<(), Failure> {
    match ranks {
        None => Ok(()),
        Some(_) => Err(Failure::Request(format!("{what} is for one process: run it without `mpirun`"))),
    }
}
