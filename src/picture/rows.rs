//! The texts of a row, in columns that all rows share.

use super::drawing::{Call, Drawing, Kind, Node, Sides};
use super::measure::{shortened, width};
use super::numbers::{WHOLE, percent};
use super::paint::{Area, Bar, Chip, Item, Mark, Ring, Text, height as line};
use super::place::{Density, class};

/// The size of the first line of a roomy row, and of a dense one.
const FIRST: u32 = 13;
const DENSE: u32 = 11;
/// The size of the other lines, and of chips.
const OTHER: u32 = 11;
const CHIP: u32 = 10;
/// Between columns.
const GAP: u32 = 12;
/// The length of a bar.
const BAR: u32 = 90;

/// Where the columns begin.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    density: Density,
    id: u32,
    axes: u32,
    shape: u32,
    chips: u32,
    cost: u32,
    beside: u32,
    /// Where the last one ends.
    pub(super) end: u32,
}

/// The most columns of text that labels and shapes get.
fn most(density: Density) -> (u32, u32) {
    match density {
        Density::Roomy => (30, 24),
        Density::Dense => (24, 0),
    }
}

/// The most columns of the lines below the first.
const WORDS: u32 = 66;

/// The height of a row of this node.
pub(super) fn height(node: &Node, density: Density) -> u32 {
    match (density, &node.kind) {
        (Density::Dense, _) => 19,
        (Density::Roomy, Kind::Operand) => 32,
        (Density::Roomy, Kind::Unary(_)) => 42,
        (Density::Roomy, Kind::Call(Call { quantized: None, .. })) => 48,
        (Density::Roomy, Kind::Call(_)) => 62,
    }
}

fn below(node: &Node) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match &node.kind {
        Kind::Operand => {}
        Kind::Unary(_) => lines.push(("quiet", node.made.clone())),
        Kind::Call(call) => {
            lines.push(("quiet", format!("dot_general {}", node.made)));
            if let Some([lhs, rhs]) = &call.quantized {
                lines.push(("", format!("lhs {lhs} × rhs {rhs}")));
            }
        }
    }
    lines.into_iter().map(|(class, text)| (class, shortened(&text, WORDS))).collect()
}

/// What is marked on a row.
fn words(node: &Node, mark: Option<&Mark>, is_output: bool) -> Vec<(&'static str, String)> {
    let mut words = Vec::new();
    if matches!(&node.kind, Kind::Call(Call { sides: Sides::Swapped, .. })) {
        words.push(("says-swapped", "swapped".to_owned()));
    }
    if is_output || mark.is_some_and(|mark| mark.ring == Ring::Around) {
        words.push(("says-result", "result".to_owned()));
    }
    if !node.loops.is_empty() {
        words.push(("", shortened(&format!("for {}", node.loops.join(" ")), 20)));
    }
    words
}

fn widest<'n>(nodes: impl Iterator<Item = &'n Node>, size: u32, text: impl Fn(&Node) -> String) -> u32 {
    nodes.map(|node| width(&text(node), size)).max().unwrap_or(0)
}

impl Columns {
    pub(super) fn new(drawing: &Drawing, density: Density, graph: u32) -> Self {
        let size = if density == Density::Roomy { FIRST } else { DENSE };
        let (of_axes, of_shape) = most(density);
        let nodes = || drawing.nodes.iter();
        let id = graph + GAP;
        let wide = widest(nodes(), size, |node| format!("%{}", node.id));
        let axes = id + wide + 8;
        let wide_axes = widest(nodes(), size, |node| shortened(&node.axes, of_axes));
        let is_call = drawing.nodes.iter().any(|node| matches!(node.kind, Kind::Call(_)));
        let cost_width = BAR + 8 + width("<0.1 %", OTHER);
        let (shape, chips, cost) = match density {
            Density::Dense => {
                let chips = axes + wide_axes + GAP;
                let words = drawing.nodes.iter().map(|node| chips_width(node, node.id == drawing.output)).max();
                (chips, chips, chips + words.unwrap_or(0) + GAP)
            }
            Density::Roomy => {
                let shape = axes + wide_axes + GAP;
                let chips = shape + widest(nodes(), size, |node| shortened(&node.shape, of_shape)) + GAP;
                let words = drawing.nodes.iter().map(|node| chips_width(node, node.id == drawing.output)).max();
                let texts = nodes().flat_map(below).map(|(_, text)| width(&text, OTHER)).max().unwrap_or(0);
                (shape, chips, (chips + words.unwrap_or(0)).max(id + texts) + 2 * GAP)
            }
        };
        let costs = nodes().filter_map(|node| match &node.kind {
            Kind::Call(call) => Some(width(&call.cost, OTHER)),
            _ => None,
        });
        let after = if is_call { cost + cost_width.max(costs.max().unwrap_or(0)) } else { cost };
        let beside = after + GAP;
        let end = match density {
            Density::Roomy => after,
            Density::Dense => beside + wide + 8 + wide_axes,
        };
        Self { density, id, axes, shape, chips, cost, beside, end }
    }

    /// Where pointing means a node, of so many in the row: the row, or its part of it.
    pub(super) fn band(&self, (beside, nodes): (usize, usize), (y, height): (u32, u32), width: u32) -> Area {
        let split = self.beside.saturating_sub(GAP / 2);
        match (beside, nodes) {
            (0, 0 | 1) => Area { x: 0, y, width, height },
            (0, _) => Area { x: 0, y, width: split, height },
            _ => Area { x: split, y, width: width - split, height },
        }
    }
}

fn chips_width(node: &Node, is_output: bool) -> u32 {
    words(node, None, is_output).iter().map(|(_, word)| width(word, CHIP) + 16).sum()
}

/// A node with its texts.
pub(super) fn item(at: &Columns, node: &Node, mark: Mark, band: Area, row: usize) -> Item {
    let is_beside = band.x > 0;
    let (of_axes, of_shape) = most(at.density);
    let size = if at.density == Density::Roomy { FIRST } else { DENSE };
    let lines = if at.density == Density::Roomy { below(node) } else { Vec::new() };
    let tall = line(size) + lines.len() as u32 * (line(OTHER) + 1);
    let top = band.y + (band.height.saturating_sub(tall)) / 2;
    let (id, axes) = if is_beside { (at.beside, at.beside + at.axes - at.id) } else { (at.id, at.axes) };
    let mut texts = vec![
        Text::new("id", size, (id, top), format!("%{}", node.id)),
        Text::new("", size, (axes, top), shortened(&node.axes, of_axes)),
    ];
    if of_shape > 0 {
        texts.push(Text::new("quiet", size, (at.shape, top), shortened(&node.shape, of_shape)));
    }
    let mut y = top + line(size) + 1;
    for (class, text) in lines {
        texts.push(Text::new(class, OTHER, (at.id, y), text));
        y += line(OTHER) + 1;
    }
    let mut x = at.chips;
    let mut chips = Vec::new();
    for (class, word) in if is_beside { Vec::new() } else { words(node, Some(&mark), false) } {
        let chip = Chip::new(class, CHIP, (x, top + (line(size) - line(CHIP)) / 2), word);
        x += chip.frame.width + 6;
        // Hundreds of frames are noise.
        match at.density {
            Density::Roomy => chips.push(chip),
            Density::Dense => texts.push(chip.text),
        }
    }
    let mut bars = Vec::new();
    if let Kind::Call(call) = &node.kind {
        let middle = top + line(size) / 2;
        let area = Area { x: at.cost, y: middle - 4, width: BAR, height: 8 };
        let part = (u64::from(BAR) * u64::from(call.share) / u64::from(WHOLE)) as u32;
        bars.push(Bar { area, part: part.max(1) });
        texts.push(Text::new("", OTHER, (at.cost + BAR + 8, middle - line(OTHER) / 2), percent(call.share)));
        if at.density == Density::Roomy {
            texts.push(Text::new("quiet", OTHER, (at.cost, top + line(size) + 1), call.cost.clone()));
        }
    }
    Item { id: node.id, class: class(node, &mark, row), band, mark, texts, bars, chips, tooltip: tooltip(node) }
}

/// Everything that is known, a fact a line.
fn tooltip(node: &Node) -> String {
    let mut text = node.line.clone();
    for fact in &node.facts {
        text.push('\n');
        text.push_str(fact.what);
        text.push_str(": ");
        text.push_str(&fact.text);
    }
    text
}
