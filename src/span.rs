//! Places in an equation's text, and the carets that point at them.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// A range of bytes in the text of an equation.
///
/// An empty span (`start == end`) is a place between two characters, such as the end of the text.
///
/// ```
/// use qeinsum::Span;
/// let error = qeinsum::QEinsum::new("ij,j%->i").unwrap_err();
/// assert_eq!(error.spans(), &[Span::new(4, 5)]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// How many columns of an equation an error shows; longer ones are cut around the place meant.
const WINDOW: usize = 72;
/// Columns kept left of the place when the text is cut.
const CONTEXT: usize = 24;

/// The text with carets under `spans`, indented by two columns, one line of carets per line of text.
///
/// Characters that a terminal would not show as themselves (controls, bidi marks, zero-width characters) are
/// printed escaped, so no byte of the input reaches the terminal raw.
pub(crate) fn underline(text: &str, spans: &[Span]) -> String {
    let cells = cells(text);
    let total: usize = cells.iter().map(|cell| cell.width).sum();
    let mut ranges: Vec<(usize, usize)> = spans.iter().map(|span| columns(&cells, *span, total)).collect();
    ranges.sort_unstable();
    let mut out = String::new();
    if total <= WINDOW {
        line(&mut out, &cells, (0, total), &ranges);
        return out;
    }
    let mut rest = ranges.as_slice();
    while let Some(&(first, _)) = rest.first() {
        let from = first.saturating_sub(CONTEXT).min(total.saturating_sub(WINDOW));
        let shown = rest.iter().take_while(|range| range.0 < from + WINDOW).count().max(1);
        if !out.is_empty() {
            out.push('\n');
        }
        line(&mut out, &cells, (from, from + WINDOW), &rest[..shown]);
        rest = &rest[shown..];
    }
    out
}

/// A printable form of one character, safe on any terminal.
pub(crate) fn printable(c: char) -> String {
    match c {
        '"' | '\'' | '\\' => c.to_string(),
        '\t' | '\n' | '\r' | '\0' => c.escape_debug().to_string(),
        _ if c.width().unwrap_or(0) == 0 => c.escape_unicode().to_string(),
        _ => c.escape_debug().to_string(),
    }
}

/// `text` as it may be shown on any terminal, cut after `limit` columns.
///
/// Characters that a terminal would not show as themselves (controls, bidi marks, zero-width characters) are escaped.
///
/// ```
/// use qeinsum::printable_text;
/// assert_eq!(printable_text("a\u{1b}[31mb", 40), "a\\u{1b}[31mb");
/// assert_eq!(printable_text("abcdef", 4), "abcd…");
/// ```
pub fn printable_text(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    for c in text.chars() {
        let shown = printable(c);
        width += shown.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
        if width > limit {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}

/// One character of the text as shown.
struct Cell {
    start: usize,
    shown: String,
    width: usize,
}

fn cells(text: &str) -> Vec<Cell> {
    text.char_indices()
        .map(|(start, c)| {
            let shown = printable(c);
            let width = shown.chars().map(|c| c.width().unwrap_or(0)).sum();
            Cell { start, shown, width }
        })
        .collect()
}

fn columns(cells: &[Cell], span: Span, total: usize) -> (usize, usize) {
    let mut column = 0;
    let (mut from, mut to) = (total, total);
    for cell in cells {
        if cell.start >= span.start {
            from = from.min(column);
        }
        if cell.start >= span.end {
            to = column;
            break;
        }
        column += cell.width;
    }
    (from, to.max(from + 1))
}

fn line(out: &mut String, cells: &[Cell], (from, to): (usize, usize), ranges: &[(usize, usize)]) {
    let total: usize = cells.iter().map(|cell| cell.width).sum();
    let lead = if from > 0 { "…" } else { "" };
    let mut text = String::from(lead);
    let mut column = 0;
    for cell in cells {
        if column >= from && column + cell.width <= to {
            text.push_str(&cell.shown);
        }
        column += cell.width;
    }
    if to < total {
        text.push('…');
    }
    let mut marks = String::new();
    for &(start, end) in ranges {
        let start = start.max(from) - from + lead.chars().count();
        let end = end.min(to) - from + lead.chars().count();
        while marks.len() < start {
            marks.push(' ');
        }
        while marks.len() < end.max(start + 1) {
            marks.push('^');
        }
    }
    let _ = write!(out, "  {text}\n  {marks}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_what_is_meant() {
        let cases: &[(&str, &[Span], &str)] = &[
            ("ij,jk->iz", &[Span::new(8, 9)], "  ij,jk->iz\n          ^"),
            ("ij,jk->ik", &[Span::new(1, 2), Span::new(3, 4)], "  ij,jk->ik\n   ^ ^"),
            ("ij", &[Span::new(2, 2)], "  ij\n    ^"),
            ("i\tj", &[Span::new(1, 2)], "  i\\tj\n   ^^"),
            ("長い,い%", &[Span::new(10, 11)], "  長い,い%\n         ^"),
            ("", &[Span::new(0, 0)], "  \n  ^"),
        ];
        for (text, spans, expected) in cases {
            assert_eq!(&underline(text, spans), expected, "{text}");
        }
    }

    #[test]
    fn long_text_is_cut_around_each_place() {
        let text = format!("{}%{}", "i".repeat(100_000), "j".repeat(100_000));
        let shown = underline(&text, &[Span::new(100_000, 100_001)]);
        assert!(shown.chars().count() < 160, "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[1].chars().position(|c| c == '^');
        assert_eq!(caret, lines[0].chars().position(|c| c == '%'));
    }
}
