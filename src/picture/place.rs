//! A drawing gets coordinates: a row a value, figures in lanes on the left, texts in columns on the right.
//!
//! Small drawings are roomy: two or three lines of text a row, and words on the lines. Large ones are dense: a line a row, an
//! operand beside the call that reads it, and what has no room is in the details.

use super::drawing::{Call, Drawing, Kind, Node, Role, Sides};
use super::lanes::{Leaves, lanes};
use super::legend::legend;
use super::measure::{room, shortened, width, wrapped};
use super::numbers::WHOLE;
#[cfg(test)]
use super::paint::Area;
use super::paint::{Figure, Item, Mark, Ring, Text, Wire, height};
use super::rows::{self, Columns};

/// A drawing with coordinates.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) width: u32,
    pub(super) height: u32,
    /// What the picture is of, for people who do not see it.
    pub(super) title: String,
    pub(super) description: String,
    pub(super) heading: Vec<Text>,
    pub(super) items: Vec<Item>,
    pub(super) wires: Vec<Wire>,
    /// The words on the wires.
    pub(super) roles: Vec<Text>,
    pub(super) legend: Vec<Key>,
}

/// An entry of the legend: a sample, and what it means.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) sample: Sample,
    pub(super) text: Text,
}

#[derive(Clone, Debug)]
pub(super) enum Sample {
    Figure(&'static str, Mark),
    Wire(Wire),
}

/// How much room a drawing takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Density {
    Roomy,
    Dense,
}

/// Nodes of the largest roomy drawing.
const ROOMY: usize = 56;
/// Around everything.
pub(super) const MARGIN: u32 = 24;
/// The least width, so that a small plan has a heading.
const LEAST: u32 = 640;
/// The least height of the row of the result, which has a ring around its figure.
const RESULT: u32 = 30;
/// The size of the words on lines.
const ROLE: u32 = 9;
/// The radius of a corner of a line.
const CORNER: u32 = 6;

impl Density {
    fn of(drawing: &Drawing) -> Self {
        if drawing.nodes.len() <= ROOMY { Self::Roomy } else { Self::Dense }
    }

    /// The distance of two lanes.
    fn lane(self) -> u32 {
        match self {
            Self::Roomy => 54,
            Self::Dense => 26,
        }
    }

    /// The radius of the dearest call, in tenths.
    fn largest(self) -> u32 {
        match self {
            Self::Roomy => 150,
            Self::Dense => 72,
        }
    }

    /// The radius that no call is drawn below, in tenths.
    fn smallest(self) -> u32 {
        match self {
            Self::Roomy => 35,
            Self::Dense => 22,
        }
    }

    fn leaves(self) -> Leaves {
        match self {
            Self::Roomy => Leaves::OwnRow,
            Self::Dense => Leaves::BesideTheirCall,
        }
    }
}

/// Gives everything its place.
pub(super) fn place(drawing: &Drawing) -> Placed {
    let density = Density::of(drawing);
    let lanes = lanes(drawing, density.leaves());
    let graph = MARGIN + lanes.count * density.lane();
    let columns = Columns::new(drawing, density, graph);
    let width = (columns.end + MARGIN).max(LEAST);
    let (heading, top) = heading(drawing, width);
    let mut items = Vec::with_capacity(drawing.nodes.len());
    let mut y = top;
    for (at, row) in lanes.rows.iter().enumerate() {
        let tall = row.iter().map(|&node| rows::height(&drawing.nodes[node], density)).max().unwrap_or(0);
        let tall = if row.contains(&drawing.output) { tall.max(RESULT) } else { tall };
        for (beside, &node) in row.iter().enumerate() {
            let x = MARGIN + lanes.lane[node] * density.lane() + density.lane() / 2;
            let mark = mark(drawing, node, density, (x, y + tall / 2));
            let band = columns.band((beside, row.len()), (y, tall), width);
            let item = rows::item(&columns, &drawing.nodes[node], mark, band, at);
            items.push(item);
        }
        y += tall;
    }
    let (wires, roles) = wires(drawing, &items, density);
    let (legend, bottom) = legend(drawing, (y + 14, width));
    Placed {
        width,
        height: bottom + MARGIN / 2,
        title: format!("Contraction tree of {}", drawing.heading.equation),
        description: drawing.heading.totals.join("; "),
        heading,
        items,
        wires,
        roles,
        legend,
    }
}

/// The lines above the tree, and where the tree begins.
fn heading(drawing: &Drawing, width: u32) -> (Vec<Text>, u32) {
    let across = width - 2 * MARGIN;
    let mut lines: Vec<(&'static str, u32, String)> = Vec::new();
    let equation = format!("einsum {}", drawing.heading.equation);
    lines.extend(wrapped(&equation, room(across, 15), 3).into_iter().map(|line| ("title", 15, line)));
    if !drawing.heading.sizes.is_empty() {
        let sizes = format!("sizes {}", drawing.heading.sizes);
        lines.extend(wrapped(&sizes, room(across, 11), 3).into_iter().map(|line| ("quiet", 11, line)));
    }
    for line in &drawing.heading.totals {
        lines.push(("", 11, shortened(line, room(across, 11))));
    }
    let mut y = MARGIN - 6;
    let texts = lines.into_iter().map(|(class, size, line)| {
        let text = Text::new(class, size, (MARGIN, y), line);
        y += height(size) + 4;
        text
    });
    let texts: Vec<Text> = texts.collect();
    (texts, y + 12)
}

fn mark(drawing: &Drawing, at: usize, density: Density, (x, y): (u32, u32)) -> Mark {
    let node = &drawing.nodes[at];
    let figure = match &node.kind {
        Kind::Operand => Figure::Square(if density == Density::Roomy { 65 } else { 45 }),
        Kind::Unary(unary) => Figure::Sign(if density == Density::Roomy { 85 } else { 65 }, unary.sign()),
        Kind::Call(call) => call_figure(call, density),
    };
    let ring = if at == drawing.output { Ring::Around } else { Ring::None };
    Mark { x, y, figure, ring }
}

/// Of an area that is the call's share, but for what would be too small to be seen.
fn call_figure(call: &Call, density: Density) -> Figure {
    let largest = u64::from(density.largest());
    let square = largest * largest * u64::from(call.of_dearest) / u64::from(WHOLE);
    let radius = (square.isqrt() as u32).max(density.smallest());
    match call.sides {
        Sides::AsWritten => Figure::Circle(radius),
        // A diamond of the same area: half of its diagonal is the radius times the root of half of pi.
        Sides::Swapped => Figure::Diamond(radius * 1253 / 1000),
    }
}

fn wires(drawing: &Drawing, items: &[Item], density: Density) -> (Vec<Wire>, Vec<Text>) {
    let mut by_node: Vec<Option<&Mark>> = vec![None; drawing.nodes.len()];
    for item in items {
        by_node[item.id] = Some(&item.mark);
    }
    let (mut wires, mut roles) = (Vec::new(), Vec::new());
    for node in &drawing.nodes {
        for link in &node.links {
            let (Some(from), Some(to)) = (by_node[link.from], by_node[node.id]) else { continue };
            let word = link.role.word();
            let class = if link.role == Role::Rhs { "link rhs" } else { "link" };
            let reach = to.area().width / 2;
            let wide = width(word, ROLE);
            let (end, at) = if from.x == to.x {
                let top = to.y.saturating_sub(reach);
                ((to.x, top), (to.x.saturating_sub(wide + 4), top.saturating_sub(height(ROLE) + 1)))
            } else {
                let right = to.x + reach;
                let free = from.x.saturating_sub(CORNER + right);
                ((right, to.y), (right + free.saturating_sub(wide) / 2, to.y.saturating_sub(height(ROLE) + 1)))
            };
            let start = if from.y == to.y {
                (from.x.saturating_sub(from.figure.reach()), from.y)
            } else {
                (from.x, from.y + from.area().height / 2)
            };
            wires.push(Wire { class, start, end });
            if density == Density::Roomy && !word.is_empty() {
                roles.push(Text::new("role", ROLE, at, word));
            }
        }
    }
    (wires, roles)
}

impl Wire {
    /// The line as SVG's path data.
    pub(super) fn path(&self) -> String {
        let ((x, y), (to_x, to_y)) = (self.start, self.end);
        if x == to_x || y == to_y {
            return format!("M{x} {y}L{to_x} {to_y}");
        }
        let corner = CORNER.min(x.abs_diff(to_x)).min(to_y.saturating_sub(y));
        let turn = if x > to_x { x - corner } else { x + corner };
        format!("M{x} {y}V{}Q{x} {to_y} {turn} {to_y}H{to_x}", to_y - corner)
    }
}

#[cfg(test)]
impl Placed {
    /// Everything that takes room: no two of them may overlap.
    pub(super) fn boxes(&self) -> Vec<(String, Area)> {
        let mut boxes = Vec::new();
        let mut add = |text: &Text| boxes.push((text.words.clone(), text.area));
        self.heading.iter().chain(&self.roles).for_each(&mut add);
        self.items.iter().flat_map(|item| &item.texts).for_each(&mut add);
        self.legend.iter().for_each(|key| add(&key.text));
        for item in &self.items {
            boxes.push((format!("mark %{}", item.id), item.mark.area()));
            boxes.extend(item.bars.iter().map(|bar| (format!("bar %{}", item.id), bar.area)));
            boxes.extend(item.chips.iter().map(|chip| (chip.text.words.clone(), chip.frame)));
        }
        for key in &self.legend {
            if let Sample::Figure(_, mark) = &key.sample {
                boxes.push((format!("sample of {}", key.text.words), mark.area()));
            }
        }
        boxes
    }
}

/// The words by which the style sheet knows a node.
pub(super) fn class(node: &Node, mark: &Mark, row: usize) -> String {
    let kind = match &node.kind {
        Kind::Operand => "operand",
        Kind::Unary(_) => "unary",
        Kind::Call(Call { sides: Sides::AsWritten, .. }) => "call",
        Kind::Call(Call { sides: Sides::Swapped, .. }) => "call swapped",
    };
    let parity = if row % 2 == 1 { " odd" } else { "" };
    let result = if mark.ring == Ring::Around { " result" } else { "" };
    format!("node {kind}{result}{parity}")
}
