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
    /// Starts the threads; a process does so once. Those that nobody asked for too: where the system gives none, the first
    /// work that wants them would panic.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        // Zero stands for as many as there usually are.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.map_or(0, usize::from));
        pool.build_global().map_err(|error| {
            let threads = self.threads.map_or_else(String::new, |threads| format!("{threads} "));
            Failure::Machine(format!("{threads}threads cannot run: {error}; `--threads 1` takes the least memory"))
        })
    }
}
