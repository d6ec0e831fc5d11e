//! What a placed drawing is made of: areas, texts, marks, lines.

use super::measure;

/// A rectangle, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Area {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A line of text in its box.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Text {
    pub(super) class: &'static str,
    pub(super) size: u32,
    pub(super) area: Area,
    pub(super) words: String,
}

impl Text {
    /// A text whose box begins here.
    pub(super) fn new(class: &'static str, size: u32, (x, y): (u32, u32), words: impl Into<String>) -> Self {
        let words = words.into();
        let area = Area { x, y, width: measure::width(&words, size), height: height(size) };
        Self { class, size, area, words }
    }

    /// Where its letters stand.
    pub(super) fn baseline(&self) -> u32 {
        self.area.y + self.size
    }
}

/// The height of a line in a font of this size.
pub(super) fn height(size: u32) -> u32 {
    (size * 13).div_ceil(10)
}

/// The figure of a node; lengths are in tenths of a pixel, from the middle to the edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Figure {
    Square(u32),
    Circle(u32),
    Diamond(u32),
    /// A small circle with a letter in it.
    Sign(u32, &'static str),
}

impl Figure {
    /// From its middle to its outermost points, in pixels, rounded up.
    pub(super) fn reach(self) -> u32 {
        let (Self::Square(half) | Self::Circle(half) | Self::Diamond(half) | Self::Sign(half, _)) = self;
        half.div_ceil(10)
    }
}

/// A figure and its middle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) figure: Figure,
    pub(super) ring: Ring,
}

impl Mark {
    /// What it covers, its ring included.
    pub(super) fn area(&self) -> Area {
        let reach = self.figure.reach() + if self.ring == Ring::Around { RING } else { 0 };
        Area { x: self.x.saturating_sub(reach), y: self.y.saturating_sub(reach), width: 2 * reach, height: 2 * reach }
    }
}

/// Whether a figure is marked as the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ring {
    None,
    Around,
}

/// How far a ring is outside of its figure.
pub(super) const RING: u32 = 4;

/// A bar of which a part is filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bar {
    pub(super) area: Area,
    /// Pixels from the left.
    pub(super) part: u32,
}

/// A text with a frame around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chip {
    pub(super) frame: Area,
    pub(super) text: Text,
}

impl Chip {
    /// Between the frame and the text.
    const PAD: u32 = 5;

    pub(super) fn new(class: &'static str, size: u32, (x, y): (u32, u32), text: impl Into<String>) -> Self {
        let text = Text::new(class, size, (x + Self::PAD, y), text);
        let frame = Area { x, y: text.area.y, width: text.area.width + 2 * Self::PAD, height: text.area.height };
        Self { frame, text }
    }
}

/// A node in its place.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: usize,
    /// Words for the style sheet.
    pub(super) class: String,
    /// Where pointing means the node.
    pub(super) band: Area,
    pub(super) mark: Mark,
    pub(super) texts: Vec<Text>,
    pub(super) bars: Vec<Bar>,
    pub(super) chips: Vec<Chip>,
    pub(super) tooltip: String,
}

/// A line from what is read to what reads it: down, and then to the side if there is one.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) class: &'static str,
    pub(super) start: (u32, u32),
    pub(super) end: (u32, u32),
}
