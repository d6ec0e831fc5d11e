//! Which key each noise of a call and of its gradient calls is drawn from.

use super::key::Key;

/// The keys of the two sides of one call.
///
/// ```
/// use qeinsum::Key;
/// use qeinsum::rng::{CallKeys, SideKeys};
/// let SideKeys { lhs, rhs } = CallKeys::new(Key::new(0)).forward;
/// assert_ne!(lhs, rhs); // each side has noise of its own
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SideKeys {
    /// For noise on the lhs.
    pub lhs: Key,
    /// For noise on the rhs.
    pub rhs: Key,
}

/// The keys of a call and of the calls that compute its gradients, derived from the call's own key.
///
/// Sides are those that are executed: in a swapped call `lhs` is the later operand, and `dlhs` its gradient. All
/// keys are derived whether or not noise is configured, so turning noise on in one place changes none elsewhere.
///
/// ```
/// use qeinsum::{Key, rng::CallKeys};
/// let keys = CallKeys::new(Key::new(42).fold_path("QDotGeneral_0", 1));
/// assert_eq!(keys.dlhs.lhs.words(), [0x33f55a72, 0x8471c518]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CallKeys {
    /// The forward call.
    pub forward: SideKeys,
    /// The call for the gradient of the executed lhs.
    pub dlhs: SideKeys,
    /// The call for the gradient of the executed rhs.
    pub drhs: SideKeys,
}

impl CallKeys {
    /// The keys of the call whose key is `call`.
    pub fn new(call: Key) -> Self {
        let [forward, backward] = call.pair();
        let [dlhs, drhs] = backward.pair();
        // A gradient's call is split like any call; the second key would be for gradients of its own.
        let [dlhs, drhs] = [dlhs.pair()[0], drhs.pair()[0]];
        Self { forward: SideKeys::new(forward), dlhs: SideKeys::new(dlhs), drhs: SideKeys::new(drhs) }
    }
}

impl SideKeys {
    fn new(sides: Key) -> Self {
        let [lhs, rhs] = sides.pair();
        Self { lhs, rhs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_a_worked_example() {
        let call = Key::new(42).fold_path("QDotGeneral_0", 1);
        let [_, backward] = call.pair();
        let [dlhs, drhs] = backward.pair();
        assert_eq!(dlhs.words(), [0x9c09_87cb, 0x75e4_6733]);
        assert_eq!(drhs.words(), [0x90b9_ad18, 0xa419_f334]);
        let keys = CallKeys::new(call);
        assert_eq!(keys.dlhs.lhs.words(), [0x33f5_5a72, 0x8471_c518]);
        assert_eq!(keys.drhs.lhs.words(), [0xb6f7_78db, 0x3cc4_044e]);
    }

    #[test]
    fn no_two_sides_share_a_key() {
        let keys = CallKeys::new(Key::new(1));
        let sides = [keys.forward, keys.dlhs, keys.drhs];
        let all: Vec<_> = sides.iter().flat_map(|side| [side.lhs.words(), side.rhs.words()]).collect();
        for (index, words) in all.iter().enumerate() {
            assert!(!all[..index].contains(words), "{words:x?}");
        }
    }
}
