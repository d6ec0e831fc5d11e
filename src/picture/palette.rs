//! Colours, once for light and once for dark readers.

use std::fmt::Write as _;

/// Name, light, dark.
const COLOURS: [(&str, &str, &str); 17] = [
    ("paper", "#ffffff", "#14171c"),
    ("surface", "#f6f7f9", "#1b1f26"),
    ("band", "#f7f8fa", "#191d23"),
    ("rule", "#d5dae1", "#353c47"),
    ("ink", "#1a1f27", "#e8ebf0"),
    ("quiet", "#586271", "#a0a9b8"),
    ("line", "#7d8796", "#78828f"),
    ("operand", "#2463b5", "#7db4ff"),
    ("operand-fill", "#dbe8fa", "#1d3350"),
    ("call", "#b35309", "#ffb35c"),
    ("call-fill", "#fbd9ae", "#6b3f0c"),
    ("swapped", "#8a2a9b", "#e59af2"),
    ("swapped-fill", "#efcdf5", "#55205f"),
    ("unary", "#4a5361", "#b6bfcd"),
    ("result", "#1b7a43", "#68d391"),
    ("picked", "#fff2c2", "#3d3413"),
    ("error", "#b3261e", "#ff8f87"),
];

const PICTURE: &str = include_str!("page/picture.css");
const PAGE: &str = include_str!("page/page.css");

/// The rules of an SVG file of its own: colours written out, since few programs know variables, and again for dark readers.
pub(super) fn of_file() -> String {
    let with = |colour: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        let mut rules = PICTURE.to_owned();
        for each in &COLOURS {
            rules = rules.replace(&format!("var(--{})", each.0), colour(each));
        }
        rules
    };
    format!("{}@media (prefers-color-scheme: dark) {{\n{}}}\n", with(|colour| colour.1), with(|colour| colour.2))
}

/// The style sheet of pages that show a picture by [`SCRIPT`](super::SCRIPT).
///
/// ```
/// assert!(qeinsum::picture::style().contains("light-dark("));
/// ```
pub fn style() -> String {
    let mut text = String::from(":root {\n  color-scheme: light dark;\n");
    for (name, light, dark) in COLOURS {
        let _ = writeln!(text, "  --{name}: light-dark({light}, {dark});");
    }
    text.push_str("}\n:root[data-theme=\"light\"] { color-scheme: light; }\n");
    text.push_str(":root[data-theme=\"dark\"] { color-scheme: dark; }\n");
    text + PICTURE + PAGE
}
