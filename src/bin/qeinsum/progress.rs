//! A sign of life for work that takes long, where somebody looks.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// A spinner on standard error that turns until this is dropped; none where that is no terminal.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Starts to wait; `doing` is what the spinner says.
    pub(crate) fn start(doing: &'static str) -> Self {
        Self::until(doing, None)
    }

    /// The same with a bar in the spinner's place where it is known how long it takes.
    pub(crate) fn until(doing: &'static str, time: Option<Duration>) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (done, is_done) = mpsc::channel();
        let turning = thread::spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let Some(time) = time else {
                    let spinner = ProgressBar::new_spinner().with_message(doing);
                    spinner.enable_steady_tick(TICK);
                    // Returns when the sender is dropped.
                    let _ = is_done.recv();
                    spinner.finish_and_clear();
                    return;
                };
                let bar = ProgressBar::new(time.as_secs()).with_message(doing);
                if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len} s") {
                    bar.set_style(style);
                }
                let start = Instant::now();
                while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    bar.set_position((PATIENCE + start.elapsed()).as_secs().min(time.as_secs()));
                }
                bar.finish_and_clear();
            }
        });
        Self(Some((done, turning)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, turning)) = self.0.take() {
            drop(done);
            let _ = turning.join();
        }
    }
}
