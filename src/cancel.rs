//! Runs that are stopped from outside.
//!
//! The thread that a run is called on has its token with it, and a thread that computes a part for it has it meanwhile. Loops
//! ask now and then ([`Pace`]) whether the run is still wanted; where it is not, they unwind to where it was begun, which
//! makes an error of it.
//!
//! They unwind, and do not return, because what is half made then has no way out: no function in between can take it for
//! whole, memory that was not written is not read, and nothing has to be asked again on the way. It is no panic: no hook
//! is called and nothing is printed. Where a program is built to abort on panics, runs are stopped between their steps only.
//!
//! A thread that waits for others may take up work that is not this run's, and so may a function of the user's that a run
//! calls: [`aside`] is around both.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Stops runs: those of whatever it was given to, by [`QEinsum::with_cancel`](crate::QEinsum::with_cancel) and its like, and those
/// within a [`scope`](Self::scope).
///
/// Clones are one token. Once cancelled it stays so: runs that are under way end with an error of kind
/// [`Cancelled`](ErrorKind::Cancelled), within a few hundredths of a second as a rule, and later ones at once. What ended so
/// has given nothing and changed nothing: an array that a run was to write into is as it was, and the next run of another token,
/// or of none, is as any other. A run that was whole before it took notice gives its result.
///
/// [`cancel`](Self::cancel) only writes to memory that is there, so that a handler of signals may call it.
///
/// ```
/// use std::{thread, time::Duration};
/// use ndarray::Array2;
/// use qeinsum::{Cancel, ErrorKind, QEinsum};
///
/// let cancel = Cancel::new();
/// let long = QEinsum::new("ij,jk,kl->il")?.with_cancel(&cancel);
/// let a = Array2::<f64>::ones((2000, 2000));
///
/// let ended = thread::scope(|scope| {
///     scope.spawn(|| {
///         thread::sleep(Duration::from_millis(20));
///         cancel.cancel();
///     });
///     long.run((&a, &a, &a))
/// });
/// assert_eq!(ended.unwrap_err().kind(), &ErrorKind::Cancelled);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Default, Debug)]
#[doc(alias("interrupt", "abort", "stop", "token"))]
pub struct Cancel {
    state: Arc<State>,
    /// That of the run or scope around this one's, while it computes.
    around: Option<Arc<Cancel>>,
}

/// What clones of a token share.
#[derive(Default, Debug)]
struct State {
    cancelled: AtomicBool,
    /// What was computed under the token so far.
    worked: AtomicU64,
}

impl Cancel {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops its runs, and every later one.
    pub fn cancel(&self) {
        self.state.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.state.cancelled.load(Ordering::Relaxed) || self.around.as_ref().is_some_and(|around| around.is_cancelled())
    }

    /// How much was computed under this token so far, by runs that have ended and those that are under way: about as many
    /// multiplications, numbers that were packed, copied or looked at, and bytes of arrays that were read or written. What is
    /// small is not counted. Another thread may ask from time to time, to show how a long run goes on.
    ///
    /// ```
    /// use qeinsum::{Cancel, QEinsum};
    /// let watched = Cancel::new();
    /// let a = ndarray::Array2::<f32>::ones((300, 300));
    /// QEinsum::new("ij,jk->ik")?.with_cancel(&watched).run((&a, &a))?;
    /// assert!(watched.worked() >= 300 * 300 * 300);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn worked(&self) -> u64 {
        self.state.worked.load(Ordering::Relaxed)
    }

    fn count(&self, work: usize) {
        self.state.worked.fetch_add(work as u64, Ordering::Relaxed);
        if let Some(around) = &self.around {
            around.count(work);
        }
    }

    /// Does something, in which this token stops whatever the library computes on this thread: runs of plans and bare calls,
    /// gradients, measurements, the naive interpreter. Searches within it go on.
    ///
    /// What computes when the token is cancelled unwinds from there to here, through functions of the caller's that are in
    /// between, as a panic would, but is none: nothing is printed.
    ///
    /// ```
    /// use qeinsum::{Cancel, ErrorKind, QEinsum, interpret};
    /// let equation = QEinsum::new("i->")?.equation(&[1])?;
    /// let x = ndarray::ArrayD::<f64>::ones(vec![3]);
    ///
    /// let cancel = Cancel::new();
    /// assert_eq!(cancel.scope(|| interpret(&equation, &[x.view()]))?[[]], 3.0);
    /// cancel.cancel();
    /// let error = cancel.scope(|| interpret(&equation, &[x.view()])).unwrap_err();
    /// assert_eq!(error.kind(), &ErrorKind::Cancelled);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn scope<R>(&self, compute: impl FnOnce() -> Result<R>) -> Result<R> {
        self.check()?;
        // What is half made is dropped on the way here, or belongs to a thread, which gives it anew to each that asks.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let _before = take_with(Some(self.within(here())));
            compute()
        }));
        match ended {
            Ok(ended) => ended,
            Err(payload) if payload.is::<Stopped>() => Err(Error::new(ErrorKind::Cancelled, "cancelled")),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The same token, which is cancelled too where the one around it is.
    fn within(&self, around: Option<Self>) -> Self {
        Self { state: Arc::clone(&self.state), around: around.map(Arc::new) }
    }

    /// An error where it was cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(ErrorKind::Cancelled, "cancelled")) } else { Ok(()) }
    }

    /// For searches, which end early with what they have found.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.state.cancelled
    }
}

thread_local! {
    /// The token of the run that this thread computes for.
    static HERE: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// What a run unwinds with.
struct Stopped;

/// Puts back the token that a thread had before.
struct Before(Option<Cancel>);

impl Drop for Before {
    fn drop(&mut self) {
        // A thread that ends has none any more.
        let _ = HERE.try_with(|here| here.replace(self.0.take()));
    }
}

/// The token of the run that this thread computes for.
fn here() -> Option<Cancel> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

fn take_with(token: Option<Cancel>) -> Before {
    Before(HERE.try_with(|here| here.replace(token)).ok().flatten())
}

/// Does the work of a run, which ends with an error when the token is cancelled.
#[inline]
pub(crate) fn stoppable<R>(token: Option<&Cancel>, work: impl FnOnce() -> Result<R>) -> Result<R> {
    match token {
        None => work(),
        Some(token) => token.scope(work),
    }
}

/// Waits for other threads, or calls a function of the user's: `work` gets the token of the run, for those who compute for it.
pub(crate) fn aside<R>(work: impl FnOnce(Option<&Cancel>) -> R) -> R {
    let before = take_with(None);
    work(before.0.as_ref())
}

/// Computes a part of a run for which another thread waits.
pub(crate) fn on_behalf<R>(token: Option<&Cancel>, work: impl FnOnce() -> R) -> R {
    let _before = take_with(token.cloned());
    check();
    work()
}

/// An error where the run that this thread computes for is to end: asked between steps, where a result can say so.
pub(crate) fn between_steps() -> Result<()> {
    HERE.try_with(|here| here.borrow().as_ref().map_or(Ok(()), Cancel::check)).unwrap_or(Ok(()))
}

/// Ends the run that this thread computes for, if it is not wanted any more.
#[cold]
#[inline(never)]
pub(crate) fn check() {
    if cfg!(panic = "unwind") && between_steps().is_err() {
        resume_unwind(Box::new(Stopped));
    }
}

/// Adds to what was computed under the token of this thread's run.
#[cold]
#[inline(never)]
fn count(work: usize) {
    let _ = HERE.try_with(|here| here.borrow().as_ref().inspect(|token| token.count(work)).is_some());
}

/// How often a loop asks, and what it has done.
#[derive(Debug)]
pub(crate) struct Pace(usize);

impl Pace {
    /// Multiplications, or other things as small, between two questions: a tenth of a millisecond where they are done in vectors,
    /// and not yet a tenth of a second where each is done by itself without optimization.
    const WORK: usize = 1 << 20;

    /// What is not worth counting.
    const LITTLE: usize = 1 << 14;

    pub(crate) fn new() -> Self {
        Self(Self::WORK)
    }

    /// Counts what was done, and asks when it is enough.
    #[inline]
    pub(crate) fn did(&mut self, work: usize) {
        if let Some(left) = self.0.checked_sub(work) {
            self.0 = left;
        } else {
            count(Self::WORK - self.0 + work);
            check();
            self.0 = Self::WORK;
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        let done = Self::WORK - self.0;
        if done >= Self::LITTLE {
            count(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::catch_unwind;

    use super::*;

    fn cancelled() -> Cancel {
        let token = Cancel::new();
        token.cancel();
        token
    }

    #[test]
    fn work_ends_where_it_asks_and_only_for_its_own_token() {
        let token = Cancel::new();
        let (mut pace, did) = (Pace::new(), Cell::new(0));
        let ended = stoppable(Some(&token), || -> Result<()> {
            check();
            token.clone().cancel();
            loop {
                did.set(did.get() + 1);
                pace.did(1 << 10);
            }
        });
        assert_eq!(ended.unwrap_err().kind(), &ErrorKind::Cancelled);
        assert_eq!(did.get(), 1025, "the first question after as much work");
        // Nothing of it is left on the thread, and without a token nothing is asked.
        check();
        assert_eq!(
            stoppable(None, || {
                check();
                Ok(3)
            }),
            Ok(3)
        );
        assert!(stoppable(Some(&token), || -> Result<()> { panic!("not begun") }).is_err());
    }

    #[test]
    fn what_is_done_aside_is_not_stopped() {
        let token = Cancel::new();
        let ended = stoppable(Some(&token), || {
            token.cancel();
            aside(|token| {
                check();
                assert!(token.is_some());
                // A part that another thread computes is.
                assert!(catch_unwind(|| on_behalf(token, || ())).is_err());
                check();
            });
            between_steps()
        });
        assert_eq!(ended.unwrap_err().message(), "cancelled");
        assert!(catch_unwind(|| on_behalf(Some(&cancelled()), || ())).is_err());
        assert!(between_steps().is_ok());
    }

    #[test]
    fn a_scope_within_another_ends_with_it() {
        let (outer, inner) = (Cancel::new(), Cancel::new());
        let (mut pace, did) = (Pace::new(), Cell::new(0));
        let ended = outer.scope(|| {
            let ended = inner.scope(|| -> Result<()> {
                outer.cancel();
                loop {
                    did.set(did.get() + 1);
                    pace.did(1 << 10);
                }
            });
            assert_eq!(ended.unwrap_err().kind(), &ErrorKind::Cancelled);
            between_steps()
        });
        assert_eq!(ended.unwrap_err().kind(), &ErrorKind::Cancelled);
        assert_eq!(did.get(), 1025);
        assert!(!inner.is_cancelled() && between_steps().is_ok());
        assert_eq!(inner.scope(|| Ok(3)), Ok(3));
    }

    #[test]
    fn a_panic_stays_one() {
        let panicked = catch_unwind(|| stoppable(Some(&Cancel::new()), || -> Result<()> { panic!("of a run") }));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"of a run"));
        assert!(between_steps().is_ok());
    }
}
