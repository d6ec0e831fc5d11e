//! When a search has to end before its work is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A deadline, and a wish from outside; by default neither. Searches ask it every millisecond or so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch<'a> {
    pub(super) deadline: Option<Instant>,
    pub(super) stop: Option<&'a AtomicBool>,
}

impl Watch<'_> {
    pub(super) fn is_over(self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
