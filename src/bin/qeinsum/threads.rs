//! `--threads`: how many threads compute.

use clap::Args;

use crate::failure::Failure;

/// The number of threads, where one was given.
#[derive(Args)]
pub(crate) struct ThreadsArg {
    /// Compute on so many threads; the result is the same in every bit [default: one a core, or `RAYON_NUM_THREADS`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl ThreadsArg {
    /// Starts the threads that were asked for; a process does so once.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        let Some(threads) = self.threads else { return Ok(()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
        pool.build_global().map_err(|error| Failure::Machine(format!("{threads} threads cannot run: {error}")))
    }
}
