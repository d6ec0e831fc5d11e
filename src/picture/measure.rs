//! How wide a text is, by columns: nobody here has the fonts that a reader has.
//!
//! Fonts of fixed width give a column 0.55 to 0.61 of their size. Letters that they lack come from others, whose widths
//! nobody knows; such texts are marked to be fitted into the width that they are given here.

use unicode_width::UnicodeWidthChar as _;

/// Of a column, in hundredths of the size of the font.
const COLUMN: u32 = 62;

/// What fonts of fixed width have beside ASCII, of what is written here.
const USUAL: [char; 6] = ['×', '·', '…', 'Σ', '–', '²'];

/// The columns of a text.
pub(super) fn columns(text: &str) -> u32 {
    text.chars().map(|c| c.width().unwrap_or(0).max(usize::from(!is_usual(c))) as u32).sum()
}

/// Its width in pixels in a font of this size, rounded up.
pub(super) fn width(text: &str, size: u32) -> u32 {
    (columns(text) * size * COLUMN).div_ceil(100)
}

/// The columns that fit into a width.
pub(super) fn room(width: u32, size: u32) -> u32 {
    width * 100 / (size * COLUMN)
}

/// Whether a text may be of another width than measured.
pub(super) fn is_foreign(text: &str) -> bool {
    !text.chars().all(is_usual)
}

fn is_usual(c: char) -> bool {
    c.is_ascii() || USUAL.contains(&c)
}

/// The text, cut to so many columns with `…` in its last one.
pub(super) fn shortened(text: &str, limit: u32) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let mut out = String::new();
    for c in text.chars() {
        let mut buffer = [0; 4];
        let wide = columns(c.encode_utf8(&mut buffer));
        if wide > left {
            break;
        }
        left -= wide;
        out.push(c);
    }
    out.push('…');
    out
}

/// The text in up to `most` lines of so many columns, the last of them cut.
pub(super) fn wrapped(text: &str, limit: u32, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && lines.len() < most {
        if lines.len() + 1 == most || columns(rest) <= limit {
            lines.push(shortened(rest, limit));
            break;
        }
        let mut used = 0;
        let fitting = rest.char_indices().find(|&(_, c)| {
            let mut buffer = [0; 4];
            used += columns(c.encode_utf8(&mut buffer));
            used > limit
        });
        let end = fitting.map_or(rest.len(), |(at, _)| at);
        // At a space or after a comma, where there is one in the second half.
        let soft = rest[..end].rfind([' ', ',']).filter(|&at| at > end / 2).map_or(end, |at| at + 1);
        if soft == 0 {
            break;
        }
        lines.push(rest[..soft].trim_end().to_owned());
        rest = rest[soft..].trim_start();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_to_their_columns() {
        assert_eq!(columns("ab×"), 3);
        assert_eq!(columns("長い"), 4);
        // A letter without width still takes some.
        assert_eq!(columns("a\u{5bf}"), 2);
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
        assert_eq!(shortened("長い長", 4), "長…");
        assert_eq!(wrapped("ab,cd,ef->gh", 6, 2), ["ab,cd,", "ef->gh"]);
        assert_eq!(wrapped("ab,cd,ef->gh", 6, 1), ["ab,cd…"]);
        assert_eq!(wrapped("abcdefgh", 3, 9), ["abc", "def", "gh"]);
        assert_eq!(wrapped("長い", 1, 3), Vec::<String>::new());
        assert!(width("abc", 13) >= 24 && room(width("abc", 13), 13) == 3);
        assert!(is_foreign("א") && !is_foreign("a…"));
    }
}
