//! What the user may interrupt.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use qeinsum::{Cancel, Compiled};

use crate::error::OrRaise as _;

/// How long an interrupt may go unnoticed.
const TICK: Duration = Duration::from_millis(50);

/// Multiplications of a run that may be long enough to be interrupted: some hundredths of a second.
const LONG: u128 = 1 << 31;

/// Computes something with what was compiled, and the interpreter's lock given back; what may be long ends when the user interrupts it.
pub(crate) fn computed<R: Send>(
    py: Python<'_>,
    compiled: &Compiled,
    compute: impl FnOnce() -> qeinsum::Result<R> + Send,
) -> PyResult<R> {
    if compiled.plan().multiplications().to_u128().is_some_and(|count| count < LONG) {
        return py.detach(compute).or_raise(py);
    }
    let cancel = Cancel::new();
    interruptible(py, || cancel.scope(compute), || cancel.cancel())?.or_raise(py)
}

/// Does what may take long on another thread, with the interpreter's lock given back. When the user interrupts it, `stop` is
/// called, and what is interrupted is waited for: it reads arrays of Python's.
pub(crate) fn interruptible<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send, stop: impl Fn()) -> PyResult<R> {
    std::thread::scope(|scope| {
        let (done, doing) = mpsc::channel();
        scope.spawn(move || {
            // Who waits for it is there until it comes.
            let _ = done.send(work());
        });
        let mut interrupted = Ok(());
        let mut doing = Some(doing);
        loop {
            let waiting = doing.take().ok_or_else(|| PyRuntimeError::new_err("what was begun is gone"))?;
            let (result, waiting) = py.detach(move || (waiting.recv_timeout(TICK), waiting));
            match result {
                Ok(result) => return interrupted.map(|()| result),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("what was begun has failed"));
                }
                Err(RecvTimeoutError::Timeout) if interrupted.is_ok() => {
                    interrupted = py.check_signals();
                    if interrupted.is_err() {
                        stop();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            doing = Some(waiting);
        }
    })
}
