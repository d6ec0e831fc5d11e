//! The best of so many trees, where more would be needed to be within the tolerance everywhere.
//!
//! In come by how much each tree is above the tolerance at each of many sizes; out go as many trees as were asked for: by
//! greedy choices first, and then by putting one in the place of another as long as the mean excess above the tolerance falls.

/// Passes over all members.
const PASSES: usize = 12;

/// By tree: by how much it is above the tolerance at each size.
pub(super) type Losses = Vec<Vec<f32>>;

/// So many trees, or all where there are no more; rising.
pub(super) fn fewer(losses: &Losses, most: usize) -> Vec<usize> {
    let sizes = losses.first().map_or(0, Vec::len);
    let mut chosen: Vec<usize> = Vec::new();
    let mut left = vec![f32::INFINITY; sizes];
    while chosen.len() < most.min(losses.len()) {
        let Some((tree, _)) = best(losses, &chosen, &left) else { break };
        chosen.push(tree);
        left = least(losses, &chosen);
    }
    for _ in 0..PASSES {
        let before = chosen.clone();
        for place in 0..chosen.len() {
            let mut others = chosen.clone();
            others.remove(place);
            let without = least(losses, &others);
            let own = total(&without, &losses[chosen[place]]);
            if let Some((tree, loss)) = best(losses, &others, &without)
                && loss < own
            {
                chosen[place] = tree;
            }
        }
        if chosen == before {
            break;
        }
    }
    chosen.sort_unstable();
    chosen
}

/// At each size, the loss of the best of these trees.
fn least(losses: &Losses, trees: &[usize]) -> Vec<f32> {
    let mut least = vec![f32::INFINITY; losses.first().map_or(0, Vec::len)];
    for &tree in trees {
        least.iter_mut().zip(&losses[tree]).for_each(|(least, loss)| *least = least.min(*loss));
    }
    least
}

/// The losses of all sizes where a tree stands beside others.
fn total(others: &[f32], tree: &[f32]) -> f64 {
    others.iter().zip(tree).map(|(others, own)| f64::from(others.min(*own))).sum()
}

/// The tree that makes the losses least beside others, and what they are then; the first of equal ones.
fn best(losses: &Losses, chosen: &[usize], others: &[f32]) -> Option<(usize, f64)> {
    let candidates = (0..losses.len()).filter(|tree| !chosen.contains(tree));
    let totals = candidates.map(|tree| (tree, total(others, &losses[tree])));
    totals.fold(None, |best, next| match best {
        Some((_, loss)) if loss <= next.1 => best,
        _ => Some(next),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_choice_is_taken_back() {
        // The last is the best alone, the first two are together.
        let losses = vec![vec![0.0, 0.0, 9.0, 9.0], vec![9.0, 9.0, 0.0, 0.0], vec![1.0; 4]];
        assert_eq!(fewer(&losses, 1), [2]);
        assert_eq!(fewer(&losses, 2), [0, 1]);
        assert_eq!(fewer(&losses, 9), [0, 1, 2]);
    }
}
