//! Colours, once for light and once for dark readers.

const PALETTE: &str = include_str!("page/palette.css");
const PICTURE: &str = include_str!("page/picture.css");

/// The style sheet of pages that show a picture by [`SCRIPT`](super::SCRIPT).
///
/// ```
/// assert!(qeinsum::picture::STYLE.contains("--paper: light-dark("));
/// ```
pub const STYLE: &str =
    concat!(include_str!("page/palette.css"), include_str!("page/picture.css"), include_str!("page/page.css"));

/// Name, light, dark.
fn colours() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    PALETTE.lines().filter_map(|line| {
        let (name, both) = line.trim().strip_prefix("--")?.split_once(": light-dark(")?;
        let (light, dark) = both.strip_suffix(");")?.split_once(", ")?;
        Some((name, light, dark))
    })
}

/// The rules of an SVG file of its own: colours written out, since few programs know variables, and again for dark readers.
pub(super) fn of_file() -> String {
    let (mut light, mut dark) = (PICTURE.to_owned(), PICTURE.to_owned());
    for (name, of_light, of_dark) in colours() {
        let variable = format!("var(--{name})");
        light = light.replace(&variable, of_light);
        dark = dark.replace(&variable, of_dark);
    }
    format!("{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_all_their_colours() {
        let rules = of_file();
        assert!(!rules.contains("var("), "{rules}");
        assert_eq!(colours().count(), PALETTE.matches("light-dark(").count());
        assert!(STYLE.matches("var(").count() > 20);
    }
}
