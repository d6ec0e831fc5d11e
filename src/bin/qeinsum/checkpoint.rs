//! `--checkpoint` and `--resume`: what is kept of a run in slices, in case it is ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use qeinsum::spread::Checkpoint;

use crate::failure::Failure;
use crate::memory;
use crate::ranks::{self, Ranks};
use crate::search::time;
use crate::text_file::shown;

/// The flags.
#[derive(Args)]
pub(crate) struct CheckpointArgs {
    /// Of a run in slices, keep what there is so far in this file, now and then; it goes once the result is written
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "analyze", "min_sqnr"])]
    checkpoint: Option<PathBuf>,

    /// How often
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s", requires = "checkpoint")]
    checkpoint_every: Duration,

    /// Go on with what is in the checkpoint, of the same run on any number of processes; from the beginning where there is none
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

impl CheckpointArgs {
    /// The file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }

    /// The checkpoint, with what another run has kept where that is asked for; of several ranks the first one has it.
    pub(crate) fn open(&self, ranks: Ranks<'_>, limit: u64) -> Result<Option<Checkpoint>, Failure> {
        let Some(file) = &self.checkpoint else { return Ok(None) };
        let checkpoint = Checkpoint::new(file).every(self.checkpoint_every);
        if !self.resume || !ranks::is_first(ranks) {
            return Ok(Some(checkpoint));
        }
        let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        memory::check_file(length.saturating_mul(2), &shown(file.as_os_str()), limit)?;
        Ok(Some(checkpoint.resume()?))
    }

    /// Removes the file, whose run is done.
    pub(crate) fn remove(&self) {
        if let Some(file) = &self.checkpoint {
            // There is none where the run took less time than there is between two.
            let _ = std::fs::remove_file(file);
        }
    }
}
