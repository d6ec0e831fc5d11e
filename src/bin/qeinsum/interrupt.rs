//! What Ctrl-C does: it ends the process, or first the search that runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::SIGINT;
use signal_hook::flag::{register, register_conditional_shutdown};

/// The exit code of an interrupted command: 128 and the signal's number, as a shell has it.
pub(crate) const INTERRUPTED: u8 = 130;

struct Interrupt {
    /// Set by an interrupt.
    happened: Arc<AtomicBool>,
    /// Whether an interrupt ends the process at once.
    ends: Arc<AtomicBool>,
}

static INTERRUPT: OnceLock<Interrupt> = OnceLock::new();

/// Has interrupts end the process with [`INTERRUPTED`] from now on.
pub(crate) fn listen() {
    let interrupt =
        INTERRUPT.get_or_init(|| Interrupt { happened: Arc::default(), ends: Arc::new(AtomicBool::new(true)) });
    // Where one of these cannot be set, an interrupt ends the process by its signal, as it does every other. They run in
    // this order, so that a second interrupt always ends the process.
    let _ = register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&interrupt.ends));
    let _ = register(SIGINT, Arc::clone(&interrupt.ends));
    let _ = register(SIGINT, Arc::clone(&interrupt.happened));
}

/// Runs a search that an interrupt stops, so that what it has found by then can be printed.
pub(crate) fn stoppable<T>(search: impl FnOnce(&AtomicBool) -> T) -> T {
    let Some(interrupt) = INTERRUPT.get() else { return search(&AtomicBool::new(false)) };
    interrupt.ends.store(false, Ordering::Relaxed);
    let found = search(&interrupt.happened);
    interrupt.ends.store(true, Ordering::Relaxed);
    found
}

/// Whether an interrupt has stopped a search.
pub(crate) fn happened() -> bool {
    INTERRUPT.get().is_some_and(|interrupt| interrupt.happened.load(Ordering::Relaxed))
}
