//! A placed drawing as SVG.

use std::fmt::Write as _;

use super::escape::xml;
use super::measure::is_foreign;
use super::numbers::tenths;
use super::paint::{Area, Figure, Item, Mark, RING, Ring, Text};
use super::palette;
use super::place::{Placed, Sample};

/// A file of its own.
pub(super) fn file(placed: &Placed) -> String {
    let mut out = String::new();
    open(&mut out, placed);
    let _ = write!(out, "<style>\n{}</style>\n", palette::of_file());
    body(&mut out, placed);
    out
}

/// A part of a page that has the style sheet.
pub(super) fn inline(placed: &Placed) -> String {
    let mut out = String::new();
    open(&mut out, placed);
    body(&mut out, placed);
    out
}

fn open(out: &mut String, placed: &Placed) {
    let Placed { width, height, title, description, .. } = placed;
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"group\" aria-labelledby=\"picture-title picture-desc\">"
    );
    let _ = writeln!(out, "<title id=\"picture-title\">{}</title>", xml(title));
    let _ = writeln!(out, "<desc id=\"picture-desc\">{}</desc>", xml(description));
}

fn body(out: &mut String, placed: &Placed) {
    // Files have no page behind them.
    let _ = writeln!(out, "<rect class=\"band\" width=\"{}\" height=\"{}\"/>", placed.width, placed.height);
    group(out, "heading", |out| placed.heading.iter().for_each(|text| write_text(out, text)));
    group(out, "tree", |out| {
        for item in &placed.items {
            write_band(out, item);
        }
        for wire in &placed.wires {
            let _ = writeln!(out, "<path class=\"{}\" d=\"{}\"/>", wire.class, wire.path());
        }
        placed.roles.iter().for_each(|text| write_text(out, text));
        for item in &placed.items {
            write_item(out, item);
        }
    });
    group(out, "legend", |out| {
        for key in &placed.legend {
            match &key.sample {
                Sample::Figure(class, mark) => group(out, class, |out| write_mark(out, mark)),
                Sample::Wire(wire) => {
                    let _ = writeln!(out, "<path class=\"{}\" d=\"{}\"/>", wire.class, wire.path());
                }
            }
            write_text(out, &key.text);
        }
    });
    out.push_str("</svg>\n");
}

fn group(out: &mut String, class: &str, inner: impl FnOnce(&mut String)) {
    let _ = writeln!(out, "<g class=\"{class}\">");
    inner(out);
    out.push_str("</g>\n");
}

/// Bands lie below the lines, which lie below the figures.
fn write_band(out: &mut String, item: &Item) {
    let _ = write!(out, "<g class=\"{}\" data-band=\"{}\">", item.class, item.id);
    write_area(out, "band", item.band, "");
    out.push_str("</g>\n");
}

fn write_item(out: &mut String, item: &Item) {
    let _ = writeln!(out, "<g class=\"{}\" data-value=\"{}\" role=\"img\">", item.class, item.id);
    let _ = writeln!(out, "<title>{}</title>", xml(&item.tooltip));
    write_area(out, "hit", item.band, " fill=\"none\" pointer-events=\"all\"");
    out.push('\n');
    write_mark(out, &item.mark);
    for bar in &item.bars {
        write_area(out, "bar", bar.area, " rx=\"2\"");
        write_area(out, "part", Area { width: bar.part, ..bar.area }, " rx=\"2\"");
        out.push('\n');
    }
    for chip in &item.chips {
        write_area(out, "chip", chip.frame, " rx=\"4\"");
        write_text(out, &chip.text);
    }
    item.texts.iter().for_each(|text| write_text(out, text));
    out.push_str("</g>\n");
}

fn write_area(out: &mut String, class: &str, area: Area, more: &str) {
    let Area { x, y, width, height } = area;
    let _ = write!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{more}/>");
}

fn write_text(out: &mut String, text: &Text) {
    let class = if text.class.is_empty() { String::new() } else { format!(" class=\"{}\"", text.class) };
    let fitted = if is_foreign(&text.words) {
        format!(" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"", text.area.width)
    } else {
        String::new()
    };
    let (x, y, size) = (text.area.x, text.baseline(), text.size);
    let _ = writeln!(out, "<text{class} x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{fitted}>{}</text>", xml(&text.words));
}

fn write_mark(out: &mut String, mark: &Mark) {
    let Mark { x, y, figure, ring } = *mark;
    if ring == Ring::Around {
        let reach = figure.reach() + RING - 1;
        let _ = writeln!(out, "<circle class=\"ring\" cx=\"{x}\" cy=\"{y}\" r=\"{reach}\"/>");
    }
    let (middle_x, middle_y) = (x * 10, y * 10);
    let _ = match figure {
        Figure::Square(half) => writeln!(
            out,
            "<rect class=\"mark\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"/>",
            tenths(middle_x - half),
            tenths(middle_y - half),
            tenths(2 * half),
            tenths(2 * half)
        ),
        Figure::Circle(radius) => {
            writeln!(out, "<circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"{}\"/>", tenths(radius))
        }
        Figure::Diamond(half) => writeln!(
            out,
            "<path class=\"mark\" d=\"M{x} {}L{} {y}L{x} {}L{} {y}Z\"/>",
            tenths(middle_y - half),
            tenths(middle_x + half),
            tenths(middle_y + half),
            tenths(middle_x - half)
        ),
        Figure::Sign(radius, sign) => {
            let size = radius * 13 / 100;
            writeln!(
                out,
                "<circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"{}\"/>\
                 <text class=\"sign\" x=\"{x}\" y=\"{}\" font-size=\"{size}\" text-anchor=\"middle\">{sign}</text>",
                tenths(radius),
                tenths(middle_y + size * 36 / 10)
            )
        }
    };
}
