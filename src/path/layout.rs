//! Which sides of a call lie in memory as matrices do, and which have to be gathered.
//!
//! In come the axes of a side from the outermost to the innermost, each with its size and what it is to the call; out
//! goes how many elements lie beside each other that belong together, where that is what its packing is slow by.

use super::number::Number;

/// What an axis of a side is to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Both sides and the result have it.
    Batch,
    /// The other side lacks it.
    Free,
    /// The result lacks it.
    Summed,
}

impl Role {
    /// The role of a label by who else has it.
    pub(crate) fn of(in_other: bool, in_result: bool) -> Self {
        match (in_other, in_result) {
            (true, true) => Self::Batch,
            (false, _) => Self::Free,
            (true, false) => Self::Summed,
        }
    }
}

/// The elements of the innermost run of axes of one role, of a side that is no stack of matrices; none of one that is.
///
/// Matrices have one run of free axes and one of summed ones, in any order, and are stacked by batch axes outside.
pub(crate) fn gathered<N: Number>(axes: impl DoubleEndedIterator<Item = (Role, N)>) -> Option<N> {
    let mut axes = axes.rev().filter(|(_, size)| *size != N::ONE);
    let (inner, mut run) = axes.next()?;
    let (mut last, mut runs) = (inner, 1);
    for (role, size) in axes {
        if role != last {
            runs += 1;
        } else if runs == 1 {
            run = run.times(&size);
        }
        last = role;
    }
    let stacked = usize::from(last == Role::Batch);
    (runs > 1 && (inner == Role::Batch || runs - stacked > 2)).then_some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_of_matrices_are_not_gathered() {
        let run = |axes: &str| {
            gathered(axes.chars().map(|axis| match axis {
                'b' => (Role::Batch, 3_u64),
                'f' => (Role::Free, 5),
                's' => (Role::Summed, 7),
                _ => (Role::Summed, 1),
            }))
        };
        for axes in ["", "b", "bb", "f", "s", "fs", "sf", "ffss", "bfs", "bbsf", "bss", "bf", "1f1"] {
            assert_eq!(run(axes), None, "{axes}");
        }
        for (axes, expected) in
            [("fsf", 5), ("fsff", 25), ("sfs", 7), ("bfsf", 5), ("fb", 3), ("fsb", 3), ("fbs", 7), ("f1b", 3)]
        {
            assert_eq!(run(axes), Some(expected), "{axes}");
        }
    }
}
