//! What figures and lines mean: of those that the drawing has.

use super::drawing::{Call, Drawing, Kind, Role, Sides, Unary};
use super::measure::width;
use super::paint::{Figure, Mark, Ring, Text, Wire, height};
use super::place::{Key, MARGIN, Sample};

/// The size of its words.
const SIZE: u32 = 11;
/// What a sample takes, and what is between two entries.
const SAMPLE: u32 = 30;
const GAP: u32 = 22;
const ROW: u32 = 22;

/// The entries, from a height down, and where they end.
pub(super) fn legend(drawing: &Drawing, (top, across): (u32, u32)) -> (Vec<Key>, u32) {
    let (mut x, mut y) = (MARGIN, top + ROW / 2);
    let mut keys = Vec::new();
    for (class, sample, words) in entries(drawing) {
        let wide = SAMPLE + width(words, SIZE);
        if x > MARGIN && x + wide > across - MARGIN {
            (x, y) = (MARGIN, y + ROW);
        }
        let sample = match sample {
            Ok((figure, ring)) => Sample::Figure(class, Mark { x: x + SAMPLE / 2 - 4, y, figure, ring }),
            Err(()) => Sample::Wire(Wire { class, start: (x, y), end: (x + SAMPLE - 8, y) }),
        };
        keys.push(Key { sample, text: Text::new("quiet", SIZE, (x + SAMPLE, y - height(SIZE) / 2), words) });
        x += wide + GAP;
    }
    (keys, y + ROW / 2)
}

type Entry = (&'static str, Result<(Figure, Ring), ()>, &'static str);

fn entries(drawing: &Drawing) -> Vec<Entry> {
    let has = |wanted: fn(&Kind) -> bool| drawing.nodes.iter().any(|node| wanted(&node.kind));
    let figure = |figure| Ok((figure, Ring::None));
    let mut entries: Vec<Entry> = vec![("operand", figure(Figure::Square(60)), "operand")];
    if has(|kind| matches!(kind, Kind::Call(Call { sides: Sides::AsWritten, .. }))) {
        entries.push(("call", figure(Figure::Circle(75)), "dot_general"));
    }
    if has(|kind| matches!(kind, Kind::Call(Call { sides: Sides::Swapped, .. }))) {
        entries.push(("call swapped", figure(Figure::Diamond(90)), "dot_general, swapped: lhs is the later operand"));
    }
    for (unary, words) in [
        (Unary::Squeeze, "squeeze"),
        (Unary::ReduceSum, "reduce_sum"),
        (Unary::Diagonal, "diagonal"),
        (Unary::Transpose, "transpose"),
    ] {
        if drawing.nodes.iter().any(|node| node.kind == Kind::Unary(unary)) {
            entries.push(("unary", figure(Figure::Sign(80, unary.sign())), words));
        }
    }
    entries.push(("operand result", Ok((Figure::Square(50), Ring::Around)), "ring: the result"));
    if drawing.nodes.iter().any(|node| node.links.iter().any(|link| link.role == Role::Lhs)) {
        entries.push(("link", Err(()), "lhs"));
        entries.push(("link rhs", Err(()), "rhs"));
        entries.push(("call", figure(Figure::Circle(40)), "area and bar: share of all multiplications"));
    }
    entries
}
