//! A sign of life for work that takes long, where somebody looks.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::console;

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two pictures.
const TICK: Duration = Duration::from_millis(100);

/// Whether there is one.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// What there is to do.
enum Extent {
    /// Nobody knows how much: a spinner.
    Unknown,
    /// So much time passes.
    Time(Duration),
    /// So many pieces, of which the counter says how many are done; the name is that of a piece.
    Pieces(u64, &'static str),
}

/// A spinner or bar on standard error until this is dropped; none where that is no terminal, or nothing is to be said.
pub(crate) struct Progress {
    turning: Option<(Sender<()>, JoinHandle<()>)>,
    done: Arc<AtomicU64>,
}

impl Progress {
    /// Starts to wait; `doing` is what the spinner says.
    pub(crate) fn start(doing: &'static str) -> Self {
        Self::show(doing, Extent::Unknown)
    }

    /// The same with a bar in the spinner's place where it is known how long it takes.
    pub(crate) fn until(doing: &'static str, time: Option<Duration>) -> Self {
        Self::show(doing, time.map_or(Extent::Unknown, Extent::Time))
    }

    /// A bar with the rate and the time that is left: `pieces` of what is called `name` are to be done.
    pub(crate) fn counted(doing: &'static str, pieces: u64, name: &'static str) -> Self {
        Self::show(doing, Extent::Pieces(pieces, name))
    }

    /// So many more pieces are done.
    pub(crate) fn advance(&self, pieces: u64) {
        self.done.fetch_add(pieces, Ordering::Relaxed);
    }

    fn show(doing: &'static str, extent: Extent) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        // One at a time: of what is done for something longer, that has the bar.
        if !console::shows_progress() || !io::stderr().is_terminal() || SHOWN.swap(true, Ordering::Relaxed) {
            return Self { turning: None, done };
        }
        let (end, ended) = mpsc::channel();
        let counter = Arc::clone(&done);
        let turning = thread::spawn(move || {
            let goes_on = |time| ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            let start = Instant::now();
            if !goes_on(PATIENCE) {
                return;
            }
            let bar = bar(doing, &extent).with_elapsed(start.elapsed());
            while goes_on(TICK) {
                match extent {
                    Extent::Unknown => bar.tick(),
                    Extent::Time(time) => bar.set_position(start.elapsed().as_secs().min(time.as_secs())),
                    Extent::Pieces(..) => bar.set_position(counter.load(Ordering::Relaxed)),
                }
            }
            bar.finish_and_clear();
        });
        Self { turning: Some((end, turning)), done }
    }
}

fn bar(doing: &'static str, extent: &Extent) -> ProgressBar {
    let (bar, template) = match extent {
        Extent::Unknown => return ProgressBar::new_spinner().with_message(doing),
        Extent::Time(time) => (ProgressBar::new(time.as_secs()), "{msg} {wide_bar} {pos} of {len} s".to_owned()),
        Extent::Pieces(pieces, name) => {
            let rate = format!("{{msg}} {{wide_bar}} {{human_pos}} of {{human_len}} {name}, {{per_sec}}, {{eta}} left");
            (ProgressBar::new(*pieces), rate)
        }
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.with_message(doing)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, turning)) = self.turning.take() {
            drop(end);
            let _ = turning.join();
            SHOWN.store(false, Ordering::Relaxed);
        }
    }
}
