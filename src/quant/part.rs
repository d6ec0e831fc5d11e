//! Arrays of which several ranks have a part each.

use crate::ranks::Communicator;
use crate::rng::Window;

/// How an array is a part of the one that is quantized. By default it is that one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part<'c> {
    /// Where its elements lie in the whole, which noise is drawn for.
    pub(crate) window: Option<Window>,
    /// Who has other parts of what a scale is shared along, if somebody has.
    pub(crate) sharers: Option<&'c dyn Communicator>,
}
