//! All paths of a few operands, for those that choose among them.

use crate::path::Path;

/// All paths of so many operands, by their first steps: 1, 1, 3, 18, 180, … of 1, 2, 3, 4, 5 operands.
pub(crate) fn every_path(operands: usize) -> Vec<Path> {
    let mut steps = Vec::with_capacity(operands.saturating_sub(1));
    let mut paths = Vec::new();
    extend(operands, &mut steps, &mut paths);
    paths
}

fn extend(left: usize, steps: &mut Vec<[usize; 2]>, paths: &mut Vec<Path>) {
    if left < 2 {
        paths.push(Path { steps: steps.clone() });
        return;
    }
    for earlier in 0..left {
        for later in earlier + 1..left {
            steps.push([earlier, later]);
            extend(left - 1, steps, paths);
            steps.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_there_once() {
        assert_eq!([1, 2, 3, 4, 5].map(|operands| every_path(operands).len()), [1, 1, 3, 18, 180]);
        let mut paths: Vec<String> = every_path(4).iter().map(ToString::to_string).collect();
        assert_eq!(paths[0], "(0,1) (0,1) (0,1)");
        assert!(paths.iter().all(|path| path.parse::<Path>().is_ok()));
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 18);
    }
}
