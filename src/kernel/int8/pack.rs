#![allow(unsafe_code, reason = "reads through the offsets of a walk")]
//! Strided elements to panels of integers.
//!
//! Elements become integers on the way, by a function of the element and its position's scale, so that floats are
//! quantized while they are packed. Where terms or positions lie together in memory they are read as they lie, and the
//! loops over them vectorize.

use super::lanes::Words;
use super::side::Packed;

/// Which side of the kernel a panel is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Rows,
    Columns,
}

/// What is packed: some positions of one side, and some of its terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a, T> {
    /// The side's first element at this batch position.
    pub(super) first: *const T,
    /// How far each position lies from it.
    pub(super) free: &'a [isize],
    /// How far each term lies from that.
    pub(super) terms: &'a [isize],
    /// The scale of each position.
    pub(super) scales: &'a [f32],
}

/// How panels are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) words: Words,
    pub(super) role: Role,
    /// Positions in a panel.
    pub(super) width: usize,
}

impl Layout {
    /// Words that this many positions and terms take.
    pub(super) fn size(self, free: usize, terms: usize) -> usize {
        free.div_ceil(self.width) * self.width * terms.div_ceil(self.words.terms())
    }

    /// What is added to an integer to make a factor of it.
    #[inline(always)]
    fn offset(self) -> i32 {
        match self.role {
            Role::Rows => 0,
            Role::Columns => self.words.offset(),
        }
    }

    /// The integer's factor in its bits of a word.
    #[inline(always)]
    fn factor(self, integer: i32, at: usize) -> i32 {
        let bits = self.words.bits();
        ((integer + self.offset()) & (u32::MAX >> (32 - bits)) as i32) << (bits * at as u32)
    }

    /// The word of integers that lie together; those that a last word lacks are zero.
    #[inline(always)]
    fn word(self, integers: &[i8]) -> i32 {
        match (self.words, <[i8; 4]>::try_from(integers)) {
            // A byte plus 128 is the byte with its highest bit flipped.
            (Words::Quads, Ok(bytes)) => {
                i32::from_le_bytes(bytes.map(|byte| byte as u8))
                    ^ if self.offset() == 0 { 0 } else { 0x8080_8080_u32 as i32 }
            }
            _ => integers.iter().enumerate().fold(0, |word, (at, &integer)| word | self.factor(integer.into(), at)),
        }
    }
}

/// Fills panels, and adds each position's integers to `sums`.
///
/// Positions that a last panel has no element for and terms that a last word has none for are zero.
///
/// # Safety
///
/// `first` plus any of `free` plus any of `terms` must be readable.
#[inline(always)]
pub(super) unsafe fn pack<T: Copy>(
    source: Source<'_, T>,
    layout: Layout,
    quantize: impl Fn(T, f32) -> i32 + Copy,
    packed: Packed<'_>,
) {
    let Packed { panels, sums, line } = packed;
    let Source { free, terms, scales, .. } = source;
    assert_eq!(panels.len(), layout.size(free.len(), terms.len()));
    assert!(scales.len() == free.len() && sums.len() == free.len());
    if terms.is_empty() {
        return;
    }
    if !free.len().is_multiple_of(layout.width) || !terms.len().is_multiple_of(layout.words.terms()) {
        panels.fill(0);
    }
    // SAFETY: the caller's promise, passed on.
    unsafe {
        if runs(terms) >= runs(free) {
            by_terms(source, layout, quantize, panels, sums, line);
        } else {
            by_positions(source, layout, quantize, panels, sums);
        }
    }
}

/// The length of the first run of neighbours in memory.
fn runs(offsets: &[isize]) -> usize {
    1 + offsets.windows(2).take_while(|pair| pair[1] == pair[0] + 1).count()
}

/// Position by position: each one's terms become a line of integers, whose words then go to their places.
#[inline(always)]
unsafe fn by_terms<T: Copy>(
    Source { first, free, terms, scales }: Source<'_, T>,
    layout: Layout,
    quantize: impl Fn(T, f32) -> i32 + Copy,
    panels: &mut [i32],
    sums: &mut [i32],
    line: &mut Vec<i8>,
) {
    let Layout { words, width, .. } = layout;
    let run = runs(terms);
    // Runs that are all as long as the first: the usual walk.
    let run = if terms.chunks(run).all(|run| runs(run) == run.len()) { run } else { 1 };
    line.clear();
    line.resize(terms.len(), 0);
    let panel = layout.size(width, terms.len());
    for (position, ((&offset, &scale), sum)) in free.iter().zip(scales).zip(sums).enumerate() {
        let at = position / width * panel + position % width;
        for (line, terms) in line.chunks_mut(run).zip(terms.chunks(run)) {
            // SAFETY: the caller vouches for these addresses; a run of offsets is one of neighbours.
            let elements = unsafe { std::slice::from_raw_parts(first.offset(offset + terms[0]), line.len()) };
            for (integer, &element) in line.iter_mut().zip(elements) {
                *integer = quantize(element, scale) as i8;
            }
        }
        *sum += line.iter().map(|&integer| i32::from(integer)).sum::<i32>();
        for (to, integers) in panels[at..].iter_mut().step_by(width).zip(line.chunks(words.terms())) {
            *to = layout.word(integers);
        }
    }
}

/// Word by word, each for all positions.
#[inline(always)]
unsafe fn by_positions<T: Copy>(
    Source { first, free, terms, scales }: Source<'_, T>,
    layout: Layout,
    quantize: impl Fn(T, f32) -> i32 + Copy,
    panels: &mut [i32],
    sums: &mut [i32],
) {
    let Layout { words, width, .. } = layout;
    let panel = layout.size(width, terms.len());
    for (word, terms) in terms.chunks(words.terms()).enumerate() {
        let places = panels.chunks_mut(panel).map(|panel| &mut panel[word * width..(word + 1) * width]);
        for (((to, free), scales), sums) in
            places.zip(free.chunks(width)).zip(scales.chunks(width)).zip(sums.chunks_mut(width))
        {
            if runs(free) == free.len() {
                for (at, &term) in terms.iter().enumerate() {
                    // SAFETY: the caller vouches for these addresses.
                    let elements = unsafe { std::slice::from_raw_parts(first.offset(term + free[0]), free.len()) };
                    for (((to, sum), &element), &scale) in to.iter_mut().zip(&mut *sums).zip(elements).zip(scales) {
                        let integer = quantize(element, scale);
                        // The places of a word are written one after the other, the first with what is left of zero.
                        *to = if at == 0 { layout.factor(integer, 0) } else { *to | layout.factor(integer, at) };
                        *sum += integer;
                    }
                }
            } else {
                for (((to, sum), &offset), &scale) in to.iter_mut().zip(&mut *sums).zip(free).zip(scales) {
                    *to = 0;
                    for (at, &term) in terms.iter().enumerate() {
                        // SAFETY: the caller vouches for the address.
                        let integer = quantize(unsafe { *first.offset(term + offset) }, scale);
                        *to |= layout.factor(integer, at);
                        *sum += integer;
                    }
                }
            }
        }
    }
}
