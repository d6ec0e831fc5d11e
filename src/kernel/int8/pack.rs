#![allow(unsafe_code, reason = "reads through the offsets of a walk")]
//! Strided elements to panels of integers.
//!
//! Elements become integers on the way, by a function of the element and its position's scale, so that floats are
//! quantized while they are packed. Where terms or positions lie together in memory they are read as they lie, and the
//! loops over them vectorize.

use super::lanes::Words;
#[cfg(target_arch = "x86_64")]
use super::side::Factor;
use crate::kernel::isa::Vectorized;
use crate::kernel::scratch::Scratch;

/// Which side of the kernel a panel is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Rows,
    Columns,
}

/// What is packed: some positions of one side, and some of its terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a, T> {
    pub(super) first: *const T,
    pub(super) free: &'a [isize],
    pub(super) terms: &'a [isize],
}

impl<'a, T> Source<'a, T> {
    /// The side's first element at a batch position, how far each free position lies from it, and how far each term lies from
    /// that.
    ///
    /// # Safety
    ///
    /// `first` plus any of `free` plus any of `terms` is readable for `'a`.
    pub(super) unsafe fn new(first: *const T, free: &'a [isize], terms: &'a [isize]) -> Self {
        Self { first, free, terms }
    }

    /// The same, where its elements are binary32 numbers.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn as_floats(&self) -> Option<Source<'a, f32>>
    where
        T: Factor,
    {
        let Self { free, terms, .. } = *self;
        T::as_floats(self.first).map(|first| Source { first, free, terms })
    }

    /// The element at these offsets, which are of the source.
    #[inline(always)]
    fn element(&self, term: isize, free: isize) -> T
    where
        T: Copy,
    {
        // SAFETY: `new` was promised that it can be read.
        unsafe { *self.first.offset(term + free) }
    }

    /// The elements of each of these terms at positions that lie together, all of the source.
    #[inline(always)]
    fn at<const TERMS: usize>(&self, terms: &[isize; TERMS], free: &[isize]) -> [&'a [T]; TERMS] {
        // SAFETY: `new` was promised that they can be read.
        terms.map(|term| unsafe { std::slice::from_raw_parts(self.first.offset(term + free[0]), free.len()) })
    }
}

/// Where it goes.
#[derive(Debug)]
pub(super) struct Packed<'a> {
    /// As many words as [`Layout::size`] says.
    pub(super) panels: &'a mut [i32],
    /// The sum of each free position's integers, to be added to.
    pub(super) sums: &'a mut [i32],
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

    /// Copies the words of positions from panels in which they follow each other to panels in which they have these numbers.
    pub(super) fn reorder(self, from: &[i32], numbers: &[u32], to: &mut [i32]) {
        let Self { width, .. } = self;
        if from.is_empty() {
            return;
        }
        let panel = from.len() / numbers.len().div_ceil(width);
        if !numbers.len().is_multiple_of(width) {
            to.fill(0);
        }
        for (numbers, from) in numbers.chunks(width).zip(from.chunks(panel)) {
            for (lane, &number) in numbers.iter().enumerate() {
                let (panel_at, lane_to) = (number as usize / width * panel, number as usize % width);
                let to = to[panel_at..panel_at + panel][lane_to..].iter_mut().step_by(width);
                to.zip(from[lane..].iter().step_by(width)).for_each(|(to, &word)| *to = word);
            }
        }
    }

    /// The bits that turn signed factors into what the kernel takes: a byte plus 128 has its highest bit flipped.
    #[inline(always)]
    fn flipped(self) -> i32 {
        match (self.role, self.words) {
            (Role::Columns, Words::Quads) => 0x8080_8080_u32 as i32,
            (Role::Rows, _) | (_, Words::Pairs | Words::SignedQuads) => 0,
        }
    }

    /// The integer as the factor of a word's term `at`, before bits are flipped.
    #[inline(always)]
    fn factor(self, integer: i32, at: usize) -> i32 {
        let bits = self.words.bits();
        (integer & (u32::MAX >> (32 - bits)) as i32) << (bits * at as u32)
    }

    /// The word of these integers, of eight bits each.
    #[inline(always)]
    fn word<const TERMS: usize>(self, integers: [i32; TERMS]) -> i32 {
        let word = integers.into_iter().enumerate().fold(0, |word, (at, integer)| word | self.factor(integer, at));
        word ^ self.flipped()
    }
}

/// Fills panels, and adds each position's integers to the sums.
///
/// Positions that a last panel has no element for and terms that a last word has none for are zero.
pub(super) struct Pack<'a, T, Q> {
    pub(super) source: Source<'a, T>,
    /// That of each free position.
    pub(super) scales: &'a [f32],
    pub(super) layout: Layout,
    /// The integer of an element and its position's scale.
    pub(super) quantize: Q,
    pub(super) packed: Packed<'a>,
}

impl<T: Copy, Q: Fn(T, f32) -> i32 + Copy> Vectorized for Pack<'_, T, Q> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { source, scales, layout, quantize, packed } = self;
        let Source { free, terms, .. } = source;
        assert_eq!(packed.panels.len(), layout.size(free.len(), terms.len()));
        assert!(packed.sums.len() == free.len() && scales.len() == free.len());
        if terms.is_empty() {
            return;
        }
        if !free.len().is_multiple_of(layout.width) || !terms.len().is_multiple_of(layout.words.terms()) {
            packed.panels.fill(0);
        }
        match (layout.words, runs(terms) >= runs(free)) {
            (_, true) => by_terms(source, scales, layout, quantize, packed),
            (Words::Pairs, false) => by_positions::<T, Q, 2>(source, scales, layout, quantize, packed),
            (Words::Quads | Words::SignedQuads, false) => {
                by_positions::<T, Q, 4>(source, scales, layout, quantize, packed);
            }
        }
    }
}

/// The length of the first run of neighbours in memory.
#[inline(always)]
pub(super) fn runs(offsets: &[isize]) -> usize {
    1 + offsets.windows(2).take_while(|pair| pair[1] == pair[0] + 1).count()
}

/// The length of runs of neighbours that are all as long as the first, but for the last, which may be shorter; else 1.
#[inline(always)]
pub(super) fn run_length(offsets: &[isize]) -> usize {
    let first = runs(offsets);
    if offsets.chunks(first).all(|run| runs(run) == run.len()) { first } else { 1 }
}

/// Panel by panel: the terms of each position become a line of integers, and the words of all lines go to their places.
#[inline(always)]
fn by_terms<T: Copy, Q: Fn(T, f32) -> i32 + Copy>(
    source: Source<'_, T>,
    scales: &[f32],
    layout: Layout,
    quantize: Q,
    Packed { panels, sums }: Packed<'_>,
) {
    let Source { first, free, terms } = source;
    let Layout { words, width, .. } = layout;
    let run = run_length(terms);
    // Whole words, whose last terms may be those that are not there.
    let line = terms.len().next_multiple_of(words.terms());
    let mut lines = Scratch::new();
    lines.clear();
    lines.resize(width * line, 0);
    let positions = free.chunks(width).zip(scales.chunks(width)).zip(sums.chunks_mut(width));
    for (((free, scales), sums), panel) in positions.zip(panels.chunks_mut(layout.size(width, terms.len()))) {
        for (((line, &offset), &scale), sum) in lines.chunks_mut(line).zip(free).zip(scales).zip(sums) {
            for (line, terms) in line.chunks_mut(run).zip(terms.chunks(run)) {
                // SAFETY: `Source::new` was promised that these can be read; a run of offsets is one of neighbours.
                let elements = unsafe { std::slice::from_raw_parts(first.offset(offset + terms[0]), terms.len()) };
                for (integer, &element) in line.iter_mut().zip(elements) {
                    *integer = quantize(element, scale) as i8;
                }
            }
            *sum += line.iter().map(|&integer| i32::from(integer)).sum::<i32>();
        }
        // A last panel has fewer positions than lines; those that are left over go to places that nobody reads.
        match words {
            Words::Quads | Words::SignedQuads => scatter(&lines, line, panel, width, |bytes: [i8; 4]| {
                i32::from_le_bytes(bytes.map(|byte| byte as u8)) ^ layout.flipped()
            }),
            Words::Pairs => scatter(&lines, line, panel, width, |pair: [i8; 2]| layout.word(pair.map(i32::from))),
        }
    }
}

/// Writes the word of each group of integers of all lines, group by group.
#[inline(always)]
fn scatter<const TERMS: usize>(
    lines: &[i8],
    line: usize,
    panel: &mut [i32],
    width: usize,
    word: impl Fn([i8; TERMS]) -> i32 + Copy,
) {
    match width {
        4 => scatter_lines::<4, TERMS>(lines, line, panel, word),
        8 => scatter_lines::<8, TERMS>(lines, line, panel, word),
        16 => scatter_lines::<16, TERMS>(lines, line, panel, word),
        _ => {
            for (position, line) in lines.chunks(line).enumerate() {
                let places = panel[position..].iter_mut().step_by(width);
                places.zip(line.as_chunks::<TERMS>().0).for_each(|(to, &integers)| *to = word(integers));
            }
        }
    }
}

/// The same for a width that is known.
#[inline(always)]
fn scatter_lines<const WIDTH: usize, const TERMS: usize>(
    lines: &[i8],
    line: usize,
    panel: &mut [i32],
    word: impl Fn([i8; TERMS]) -> i32 + Copy,
) {
    let groups = line / TERMS;
    let lines: [&[[i8; TERMS]]; WIDTH] =
        std::array::from_fn(|at| &lines[at * line..(at + 1) * line].as_chunks::<TERMS>().0[..groups]);
    for (group, to) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate().take(groups) {
        *to = std::array::from_fn(|at| word(lines[at][group]));
    }
}

/// Word by word, each for all positions.
#[inline(always)]
fn by_positions<T: Copy, Q: Fn(T, f32) -> i32 + Copy, const TERMS: usize>(
    source: Source<'_, T>,
    scales: &[f32],
    layout: Layout,
    quantize: Q,
    Packed { panels, sums }: Packed<'_>,
) {
    let Source { free, terms, .. } = source;
    let width = layout.width;
    let panel = layout.size(width, terms.len());
    let run = run_length(free);
    // Whether the positions of every panel lie together.
    let is_run = run == free.len() || run.is_multiple_of(width);
    let (whole, rest) = terms.as_chunks::<TERMS>();
    for (word, terms) in whole.iter().enumerate() {
        let places = panels.chunks_mut(panel).map(|panel| &mut panel[word * width..(word + 1) * width]);
        let positions = places.zip(free.chunks(width)).zip(scales.chunks(width)).zip(sums.chunks_mut(width));
        for (((to, free), scales), sums) in positions {
            let to = &mut to[..free.len()];
            // As many positions at once as a vector has lanes, then the rest one by one.
            let done = match (is_run, width) {
                (true, 16..) => lanes::<T, Q, 16, TERMS>(source.at(terms, free), scales, layout, quantize, to, sums),
                (true, 8..) => lanes::<T, Q, 8, TERMS>(source.at(terms, free), scales, layout, quantize, to, sums),
                (true, 4..) => lanes::<T, Q, 4, TERMS>(source.at(terms, free), scales, layout, quantize, to, sums),
                _ => 0,
            };
            let left = to.iter_mut().zip(sums).zip(scales).zip(free).skip(done);
            for (((to, sum), &scale), &offset) in left {
                let integers = terms.map(|term| quantize(source.element(term, offset), scale));
                *sum += integers.iter().sum::<i32>();
                *to = layout.word(integers);
            }
        }
    }
    if rest.is_empty() {
        return;
    }
    for (position, ((&offset, &scale), sum)) in free.iter().zip(scales).zip(sums).enumerate() {
        let mut integers = [0; TERMS];
        for (integer, &term) in integers.iter_mut().zip(rest) {
            *integer = quantize(source.element(term, offset), scale);
        }
        *sum += integers.iter().sum::<i32>();
        panels[position / width * panel + whole.len() * width + position % width] = layout.word(integers);
    }
}

/// Makes the words of all whole groups of `LANES` positions, and says of how many positions that was.
#[inline(always)]
fn lanes<T: Copy, Q: Fn(T, f32) -> i32 + Copy, const LANES: usize, const TERMS: usize>(
    elements: [&[T]; TERMS],
    scales: &[f32],
    layout: Layout,
    quantize: Q,
    to: &mut [i32],
    sums: &mut [i32],
) -> usize {
    let groups = to.len() / LANES;
    let elements = elements.map(|elements| &elements.as_chunks::<LANES>().0[..groups]);
    let scales = &scales.as_chunks::<LANES>().0[..groups];
    let (to, sums) = (to.as_chunks_mut::<LANES>().0, sums.as_chunks_mut::<LANES>().0);
    let done = groups * LANES;
    for (at, ((to, sums), scales)) in to.iter_mut().zip(sums).zip(scales).enumerate() {
        // Term by term, each for all lanes, and in arrays that nothing else can reach, is what becomes vectors.
        let (mut words, mut totals) = ([0; LANES], *sums);
        for term in 0..TERMS {
            let elements = &elements[term][at];
            for lane in 0..LANES {
                let integer = quantize(elements[lane], scales[lane]);
                totals[lane] += integer;
                words[lane] |= layout.factor(integer, term);
            }
        }
        *sums = totals;
        *to = words.map(|word| word ^ layout.flipped());
    }
    done
}
