//! What may have been meant by words that are not known.

use qeinsum::printable_text;

use crate::failure::Failure;

/// A flag that no command has; `known` are those of the command, without hyphens.
pub(crate) fn unexpected_flag<'a>(flag: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let name = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
    let hint = match closest(name, known) {
        Some(close) => format!("did you mean `--{close}`?"),
        None => "see `--help`".to_owned(),
    };
    Failure::Request(format!("unexpected argument `{}`; {hint}", printable_text(flag, 60)))
}

/// A flag that `command` does not have, but these others.
pub(crate) fn elsewhere(flag: &str, command: &str, others: &[String]) -> Failure {
    let (last, others) = (&others[others.len() - 1], &others[..others.len() - 1]);
    let others = match others {
        [] => format!("{last} has"),
        others => format!("{} and {last} have", others.join(", ")),
    };
    Failure::Request(format!("`{command}` has no `{}`; {others} it", printable_text(flag, 60)))
}

/// `; did you mean …?`, where one of the words looks like this one.
pub(crate) fn meant<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, words).map_or_else(String::new, |close| format!("; did you mean `{close}`?"))
}

/// The word that looks most like `word`, if any does.
fn closest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = words.into_iter().map(|other| (strsim::damerau_levenshtein(word, other), other));
    let (distance, other) = distances.min()?;
    // A third of the letters may be wrong.
    (distance * 3 <= word.chars().count()).then_some(other)
}
