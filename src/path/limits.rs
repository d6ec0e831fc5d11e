//! How much work a search may do, by the number of operands: it is counted, never timed, so that the same search finds the
//! same path on every machine.

/// Up to this many operands all trees are looked at, without annealing and without looking at the connected ones first.
pub(super) const SMALL: usize = 12;

/// Up to this many operands a proof has better chances than annealing has of finding more.
const PROVABLE: usize = 20;

/// Up to this many operands a search takes the same time.
pub(super) const MEDIUM: usize = 60;

/// A unit of work is about 5 ns. Work for [`SMALL`] problems: what it takes to prove any 12 operands.
const SMALL_WORK: u64 = 1 << 24;
/// Work for a proof of up to [`PROVABLE`] operands: what it takes where none shares labels with more than five others.
const PROOF_WORK: u64 = 1 << 25;
/// Work for up to [`MEDIUM`] operands.
pub(super) const MEDIUM_WORK: u64 = 4_000_000;
/// Work for a proof of more than [`PROVABLE`] and up to [`MEDIUM`] operands, with all of their trees: some
/// twenty milliseconds.
const MEDIUM_PROOF_WORK: u64 = 1 << 22;
/// Work for an operand, above.
const OPERAND_WORK: u64 = 200_000;
/// Work that is never exceeded without more effort.
const MOST_WORK: u64 = 800_000_000;
/// Work that `optimal` may do for its proof per unit of effort, which takes up to about a minute and 2 GB.
pub(super) const OPTIMAL_WORK: u64 = 1 << 32;

/// Pairs that `reference` may look at per unit of effort: some forty seconds of a slow machine.
pub(super) const REFERENCE_WORK: u64 = 1 << 29;

/// Trees that `random-greedy` makes per unit of effort.
pub(super) const RANDOM_TRIALS: u64 = 128;

/// How much work the parts of a search may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) portfolio: u64,
    pub(super) exact: u64,
    /// For chains and rings, which leave nothing to do for the others.
    pub(super) chain: u64,
}

impl Limits {
    /// The limits by the number of operands.
    pub(super) fn of(operands: usize) -> Self {
        let all = if operands <= MEDIUM { MEDIUM_WORK } else { MOST_WORK.min(operands as u64 * OPERAND_WORK) };
        let [portfolio, exact] = if operands <= SMALL {
            [SMALL_WORK; 2]
        } else if operands <= PROVABLE {
            [all / 4, PROOF_WORK]
        } else if operands <= MEDIUM {
            [all / 2, MEDIUM_PROOF_WORK]
        } else if operands <= MOST_PROVED {
            [all / 2; 2]
        } else {
            [all, 0]
        };
        Self { portfolio, exact, chain: all }
    }

    pub(super) fn times(self, effort: u64) -> Self {
        let [portfolio, exact, chain] =
            [self.portfolio, self.exact, self.chain].map(|work| work.saturating_mul(effort));
        Self { portfolio, exact, chain }
    }

    /// Takes the share of some of the operands.
    pub(super) fn share(&mut self, part: usize, operands: usize) -> Self {
        let share = |work: u64| (u128::from(work) * part as u128 / operands as u128) as u64;
        let own = Self { portfolio: share(self.portfolio), exact: share(self.exact), chain: share(self.chain) };
        self.exact -= own.exact;
        own
    }
}

/// The most operands that a connected part may have for a proof to be tried.
const MOST_PROVED: usize = 128;
