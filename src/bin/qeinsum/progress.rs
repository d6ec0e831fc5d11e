//! A sign of life for work that takes long, where somebody looks.

use std::fmt::Write;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use qeinsum::Cancel;

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
    /// So many multiplications, of which the counter says how many are done for sure, and the token how much is being done; at
    /// most so many belong to what is under way.
    Products { all: u64, largest: u64, watched: Cancel },
    /// So many bytes, which the token counts.
    Bytes(u64, Cancel),
    /// Nobody knows how much of what the token counts.
    Work(Cancel),
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

    /// The same of `all` multiplications: `advance` says which are done, and `watched` counts on within a call, of which the
    /// largest has so many.
    pub(crate) fn of_products(doing: &'static str, [all, largest]: [u64; 2], watched: &Cancel) -> Self {
        Self::show(doing, Extent::Products { all, largest, watched: watched.clone() })
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
                match &extent {
                    Extent::Unknown => bar.tick(),
                    Extent::Work(watched) => {
                        bar.set_position(watched.worked());
                        bar.tick();
                    }
                    Extent::Bytes(all, watched) => bar.set_position(watched.worked().min(*all)),
                    Extent::Products { all, largest, watched } => {
                        let done = counter.load(Ordering::Relaxed);
                        // Copies are counted with what is multiplied, so that a call may seem to be over too early.
                        bar.set_position(watched.worked().clamp(done, done.saturating_add(*largest)).min(*all));
                    }
                    Extent::Time(time) => bar.set_position(start.elapsed().as_secs().min(time.as_secs())),
                    Extent::Pieces(..) => bar.set_position(counter.load(Ordering::Relaxed)),
                }
            }
            bar.finish_and_clear();
        });
        Self { turning: Some((end, turning)), done }
    }
}

/// Computes something, and shows meanwhile how much was done and at which rate, where nobody knows how much there will be.
pub(crate) fn watched<R>(doing: &'static str, compute: impl FnOnce() -> R) -> R {
    watching(doing, Extent::Work, compute)
}

/// Reads or writes so many bytes of arrays, and shows meanwhile how many are done.
pub(crate) fn moved<R>(doing: &'static str, bytes: u64, transfer: impl FnOnce() -> R) -> R {
    watching(doing, |watched| Extent::Bytes(bytes, watched), transfer)
}

fn watching<R>(doing: &'static str, extent: impl FnOnce(Cancel) -> Extent, work: impl FnOnce() -> R) -> R {
    let watched = Cancel::new();
    let _progress = Progress::show(doing, extent(watched.clone()));
    watched.scope(|| Ok(work())).unwrap_or_else(|_| unreachable!("nobody cancels it"))
}

fn bar(doing: &'static str, extent: &Extent) -> ProgressBar {
    let of_all =
        |name: &str| format!("{{msg}} {{wide_bar}} {{done}} of {{all}} {name}, {{rate}} {name}/s, {{left}} left");
    let (bar, template) = match extent {
        Extent::Unknown => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}".to_owned()),
        Extent::Work(_) => {
            (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}: {done} operations, {rate}/s".to_owned())
        }
        Extent::Time(time) => (ProgressBar::new(time.as_secs()), "{msg} {wide_bar} {pos} of {len} s".to_owned()),
        Extent::Products { all, .. } => (ProgressBar::new(*all), of_all("mul")),
        Extent::Bytes(all, _) => (ProgressBar::new(*all), of_all("bytes")),
        Extent::Pieces(pieces, name) => (ProgressBar::new(*pieces), of_all(name)),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        // Means since the start: a call of a plan is not as fast as the next.
        let style = style
            .with_key("done", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}", short(state.pos() as f64));
            })
            .with_key("all", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}", short(state.len().unwrap_or_default() as f64));
            })
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}", short(state.pos() as f64 / state.elapsed().as_secs_f64()));
            })
            .with_key("left", |state: &ProgressState, out: &mut dyn Write| {
                let left = state.len().unwrap_or_default().saturating_sub(state.pos()) as f64;
                let seconds = left * state.elapsed().as_secs_f64() / state.pos() as f64;
                let _ = if seconds.is_finite() { write!(out, "{seconds:.0} s") } else { write!(out, "?") };
            });
        bar.set_style(style);
    }
    bar.with_message(doing)
}

/// A count in few digits: `1234`, `56.7 k`, `8.90 G`.
fn short(count: f64) -> String {
    if count < 10_000.0 {
        return format!("{count:.0}");
    }
    let (unit, prefix) =
        [(1e12, 'T'), (1e9, 'G'), (1e6, 'M')].into_iter().find(|(unit, _)| count >= *unit).unwrap_or((1e3, 'k'));
    let mantissa = count / unit;
    let digits = if mantissa < 10.0 { 2 } else { usize::from(mantissa < 100.0) };
    format!("{mantissa:.digits$} {prefix}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        let shown = [0.0, 9999.0, 12_345.0, 999_999.0, 1.5e6, 6.4e10, 2.0e15].map(short);
        assert_eq!(shown, ["0", "9999", "12.3 k", "1000 k", "1.50 M", "64.0 G", "2000 T"]);
    }
}
