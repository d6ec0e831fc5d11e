//! The page around a picture: one file that asks for no other.

use super::drawing::Drawing;
use super::escape::{script, xml};
use super::palette::STYLE;
use super::place::Placed;
use super::{json, svg};

/// The page's script, which defines `showPicture(root, data)`: it fills an element by what
/// [`Picture::to_json`](super::Picture::to_json) writes.
///
/// ```
/// use qeinsum::picture::{SCRIPT, STYLE};
/// assert!(SCRIPT.contains("function showPicture(root, data)"));
/// let plan = qeinsum::QEinsum::new("ij->ji")?.plan(&[&[2, 3]])?;
/// let page = plan.picture().to_html();
/// assert!(page.contains(SCRIPT) && page.contains(STYLE));
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub const SCRIPT: &str = include_str!("page/page.js");

pub(super) fn html(drawing: &Drawing, placed: &Placed) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main id=\"picture\">\n{picture}</main>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}\
         showPicture(document.getElementById(\"picture\"), JSON.parse(document.getElementById(\"data\").textContent));\n\
         </script>\n</body>\n</html>\n",
        title = xml(&placed.title),
        picture = svg::inline(placed),
        data = script(&json::text(drawing)),
    )
}
