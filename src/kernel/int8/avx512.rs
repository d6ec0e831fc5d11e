#![allow(unsafe_code, reason = "vector instructions, and their loads and stores through pointers")]
#![allow(clippy::wildcard_imports, reason = "a list of intrinsics says nothing")]
#![allow(clippy::cast_ptr_alignment, reason = "every load and store used is an unaligned one")]
//! Binary32 elements to panels of words of four eight-bit integers, for AVX-512 VNNI.
//!
//! Sixteen positions are packed together: the sixteen words of a column panel, or those of two row panels of eight. An
//! integer is `round(clip(element * scale))`, and zero for NaN, as the portable way makes it too.

use std::arch::x86_64::*;

use smallvec::SmallVec;

use super::pack::{Layout, Packed, Role, Source, run_length, runs};
use crate::kernel::scratch::Scratch;

/// Positions that are packed together.
const GROUP: usize = 16;

/// Terms of a word.
const WORD: usize = 4;

/// Packs what [`super::pack::Pack`] packs; only on a processor that was found to have AVX-512 with VNNI.
pub(super) fn pack(source: Source<'_, f32>, scales: &[f32], layout: Layout, limit: f32, packed: Packed<'_>) {
    assert!(
        layout.width
            == match layout.role {
                Role::Rows => GROUP / 2,
                Role::Columns => GROUP,
            }
    );
    assert_eq!(packed.panels.len(), layout.size(source.free.len(), source.terms.len()));
    assert!(packed.sums.len() == source.free.len() && scales.len() == source.free.len());
    if source.terms.is_empty() || source.free.is_empty() {
        return;
    }
    // SAFETY: the caller found the instruction set, the lengths were checked, and the source vouches for its elements.
    unsafe { all(source, scales, layout, limit, packed) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn all(
    source: Source<'_, f32>,
    scales: &[f32],
    layout: Layout,
    limit: f32,
    Packed { panels, sums }: Packed<'_>,
) {
    let Source { first, free, terms } = source;
    let words = terms.len().div_ceil(WORD);
    if runs(terms) < GROUP && jumps(free) * PIECE <= free.len() {
        // SAFETY: passed on.
        unsafe { by_positions(first, free, terms, scales, limit, layout, panels, sums) };
        return;
    }
    let run = run_length(terms);
    for (at, (free, scales)) in free.chunks(GROUP).zip(scales.chunks(GROUP)).enumerate() {
        let group = Group::new(first, free, scales);
        let at = at * GROUP;
        let to = To::new(layout, words, panels, at, source.free.len());
        let sums = &mut sums[at..at + free.len()];
        // SAFETY: passed on: elements of the source, and panels of so many words.
        unsafe {
            if run == terms.len() || (run >= GROUP && run.is_multiple_of(WORD)) {
                let mut adder = Adder::new();
                for (number, terms) in terms.chunks(run).enumerate() {
                    lines(&group, terms[0], terms.len(), limit, to.after(number * run / WORD), &mut adder);
                }
                adder.add_to(sums);
            } else {
                gathered(&group, terms, limit, to, sums);
            }
        }
    }
}

/// Raises each position's number to the largest bits of a magnitude of its terms; only on a processor that was found to have
/// AVX-512 with VNNI.
pub(super) fn largest(source: Source<'_, f32>, largest: &mut [u32]) {
    assert_eq!(largest.len(), source.free.len());
    // SAFETY: the caller found the instruction set, and the source vouches for its elements.
    unsafe { all_largest(source, largest) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn all_largest(Source { first, free, terms, .. }: Source<'_, f32>, largest: &mut [u32]) {
    /// Terms that go through the numbers of all positions together.
    const TERMS: usize = 8;
    /// Maxima that do not wait for each other.
    const CHAINS: usize = 4;
    let magnitude = |elements: __m512| _mm512_and_si512(_mm512_castps_si512(elements), _mm512_set1_epi32(0x7fff_ffff));
    if runs(terms) < GROUP && jumps(free) * PIECE <= free.len() {
        for terms in terms.chunks(TERMS) {
            let mut done = 0;
            for free in free.chunk_by(|one, next| *next == one + 1) {
                let line = first.wrapping_offset(free[0]);
                let largest = &mut largest[done..done + free.len()];
                done += free.len();
                for at in (0..free.len()).step_by(GROUP) {
                    let mask = mask(free.len() - at);
                    // SAFETY: elements of the source, which are neighbours, and as many numbers.
                    unsafe {
                        let to = largest.as_mut_ptr().add(at).cast();
                        let mut most = _mm512_maskz_loadu_epi32(mask, to);
                        if mask == __mmask16::MAX {
                            for &term in terms {
                                let from = line.wrapping_offset(term + at as isize);
                                most = _mm512_max_epu32(most, magnitude(_mm512_loadu_ps(from)));
                            }
                        } else {
                            for &term in terms {
                                let from = line.wrapping_offset(term + at as isize);
                                most = _mm512_max_epu32(most, magnitude(_mm512_maskz_loadu_ps(mask, from)));
                            }
                        }
                        _mm512_mask_storeu_epi32(to, mask, most);
                    }
                }
            }
        }
        return;
    }
    let run = run_length(terms);
    for (&position, most) in free.iter().zip(largest) {
        let line = first.wrapping_offset(position);
        let mut most_of = 0;
        if run < GROUP / 2 {
            for &term in terms {
                // SAFETY: an element of the source.
                most_of = most_of.max(unsafe { *line.wrapping_offset(term) }.to_bits() & 0x7fff_ffff);
            }
        } else {
            let mut found = [_mm512_setzero_si512(); CHAINS];
            for terms in terms.chunks(run) {
                let from = line.wrapping_offset(terms[0]);
                let whole = terms.len() / (CHAINS * GROUP) * (CHAINS * GROUP);
                // SAFETY: elements of the source, which are neighbours.
                unsafe {
                    for at in (0..whole).step_by(CHAINS * GROUP) {
                        for (chain, found) in found.iter_mut().enumerate() {
                            let elements = _mm512_loadu_ps(from.add(at + chain * GROUP));
                            *found = _mm512_max_epu32(*found, magnitude(elements));
                        }
                    }
                    for at in (whole..terms.len()).step_by(GROUP) {
                        let elements = _mm512_maskz_loadu_ps(mask(terms.len() - at), from.add(at));
                        found[0] = _mm512_max_epu32(found[0], magnitude(elements));
                    }
                }
            }
            let found = found.into_iter().reduce(|most, found| _mm512_max_epu32(most, found));
            most_of = found.map_or(0, |found| _mm512_reduce_max_epu32(found));
        }
        *most = most_of.max(*most);
    }
}

/// How often the next position is no neighbour in memory.
fn jumps(free: &[isize]) -> usize {
    free.windows(2).filter(|pair| pair[1] != pair[0] + 1).count()
}

/// Positions at the least, on average, that lie together where a side is read position by position.
const PIECE: usize = 8;

/// The lanes of so many elements, or all.
#[inline]
fn mask(elements: usize) -> __mmask16 {
    if elements >= GROUP { __mmask16::MAX } else { ((1_u32 << elements) - 1) as __mmask16 }
}

/// Sixteen positions: where their elements begin, and their scales.
struct Group {
    lines: [*const f32; GROUP],
    scales: [f32; GROUP],
}

impl Group {
    /// Positions that are missing are the last one over again, scaled to nothing.
    #[inline(always)]
    fn new(first: *const f32, free: &[isize], scales: &[f32]) -> Self {
        let last = free.len() - 1;
        Self {
            lines: std::array::from_fn(|at| first.wrapping_offset(free[at.min(last)])),
            scales: std::array::from_fn(|at| if at <= last { scales[at] } else { 0.0 }),
        }
    }
}

/// Where the words of sixteen positions go.
#[derive(Clone, Copy)]
struct To {
    /// The first eight of them and the last eight; the latter null where there is no panel for them.
    low: *mut i32,
    high: *mut i32,
    /// From a word to the next.
    step: usize,
    role: Role,
}

impl To {
    #[inline(always)]
    fn new(layout: Layout, words: usize, panels: &mut [i32], at: usize, count: usize) -> Self {
        let panel = words * layout.width;
        let from = panels[at / layout.width * panel..].as_mut_ptr();
        let high = match layout.role {
            Role::Columns => from.wrapping_add(GROUP / 2),
            Role::Rows if at + GROUP / 2 < count => from.wrapping_add(panel),
            Role::Rows => std::ptr::null_mut(),
        };
        Self { low: from, high, step: layout.width, role: layout.role }
    }

    /// The same, so many words on.
    #[inline(always)]
    fn after(self, words: usize) -> Self {
        let by = words * self.step;
        let high = if self.high.is_null() { self.high } else { self.high.wrapping_add(by) };
        Self { low: self.low.wrapping_add(by), high, ..self }
    }

    /// Stores the words number `word`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn store(self, word: usize, words: __m512i) {
        // SAFETY: the caller vouches for room for the word of each position.
        unsafe {
            match self.role {
                Role::Columns => {
                    // An unsigned factor is 128 more than it stands for.
                    let flipped = _mm512_xor_si512(words, _mm512_set1_epi8(-128));
                    _mm512_storeu_si512(self.low.add(word * GROUP).cast(), flipped);
                }
                Role::Rows => {
                    _mm256_storeu_si256(self.low.add(word * GROUP / 2).cast(), _mm512_castsi512_si256(words));
                    if !self.high.is_null() {
                        let high = _mm512_extracti64x4_epi64::<1>(words);
                        _mm256_storeu_si256(self.high.add(word * GROUP / 2).cast(), high);
                    }
                }
            }
        }
    }
}

/// The sums of sixteen positions' integers.
struct Adder(__m512i);

impl Adder {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn new() -> Self {
        Self(_mm512_setzero_si512())
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn add(&mut self, words: __m512i) {
        self.0 = _mm512_dpbusd_epi32(self.0, _mm512_set1_epi8(1), words);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn add_to(self, sums: &mut [i32]) {
        let mut added = [0_i32; GROUP];
        // SAFETY: the array is a vector long.
        unsafe { _mm512_storeu_si512(added.as_mut_ptr().cast(), self.0) };
        sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
    }
}

/// The integers of sixteen elements.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn integers(elements: __m512, scale: __m512, limit: __m512) -> __m512i {
    let scaled = _mm512_mul_ps(elements, scale);
    let ordered = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(scaled, scaled);
    let least = _mm512_sub_ps(_mm512_setzero_ps(), limit);
    let clipped = _mm512_min_ps(_mm512_max_ps(scaled, least), limit);
    _mm512_maskz_cvtps_epi32(ordered, clipped)
}

/// The words of so many neighbouring terms of each position.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn lines(group: &Group, term: isize, terms: usize, limit: f32, to: To, adder: &mut Adder) {
    let mut at = 0;
    while at < terms {
        let here = (terms - at).min(GROUP);
        let mask = mask(here);
        // SAFETY: the caller vouches for so many terms of each line and for room for their words.
        unsafe {
            let limit = _mm512_set1_ps(limit);
            let mut quads = [_mm512_setzero_si512(); 4];
            for (number, quad) in quads.iter_mut().enumerate() {
                let integer = |position: usize| {
                    let line = group.lines[4 * number + position].wrapping_offset(term + at as isize);
                    let elements =
                        if here == GROUP { _mm512_loadu_ps(line) } else { _mm512_maskz_loadu_ps(mask, line) };
                    integers(elements, _mm512_set1_ps(group.scales[4 * number + position]), limit)
                };
                let low = _mm512_packs_epi32(integer(0), integer(1));
                let high = _mm512_packs_epi32(integer(2), integer(3));
                // In each quarter the four terms of a word, position after position.
                *quad = _mm512_packs_epi16(low, high);
            }
            // Quarters of the four, so that each vector has a word of all positions.
            let first = _mm512_shuffle_i32x4::<0b01_00_01_00>(quads[0], quads[1]);
            let second = _mm512_shuffle_i32x4::<0b11_10_11_10>(quads[0], quads[1]);
            let third = _mm512_shuffle_i32x4::<0b01_00_01_00>(quads[2], quads[3]);
            let fourth = _mm512_shuffle_i32x4::<0b11_10_11_10>(quads[2], quads[3]);
            let words = [
                _mm512_shuffle_i32x4::<0b10_00_10_00>(first, third),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(first, third),
                _mm512_shuffle_i32x4::<0b10_00_10_00>(second, fourth),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(second, fourth),
            ];
            for (number, &word) in words.iter().enumerate().take(here.div_ceil(WORD)) {
                adder.add(word);
                to.store(at / WORD + number, word);
            }
        }
        at += here;
    }
}

/// Positions whose elements lie anywhere: gathered into lines first, a part of the terms at a time.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn gathered(group: &Group, terms: &[isize], limit: f32, to: To, sums: &mut [i32]) {
    /// Terms that are gathered at a time: sixteen lines of them stay in the first cache.
    const TERMS: usize = 256;
    let mut buffer = Scratch::<f32>::new();
    let buffer = buffer.any(GROUP * TERMS);
    // SAFETY: passed on, for the lines of the buffer.
    unsafe {
        let mut adder = Adder::new();
        for (number, terms) in terms.chunks(TERMS).enumerate() {
            for (&from, line) in group.lines.iter().zip(buffer.chunks_mut(TERMS)).take(sums.len()) {
                for (to, &term) in line.iter_mut().zip(terms) {
                    *to = *from.wrapping_offset(term);
                }
            }
            let last = sums.len() - 1;
            let lines_of = Group {
                lines: std::array::from_fn(|at| buffer[at.min(last) * TERMS..].as_ptr()),
                scales: group.scales,
            };
            lines(&lines_of, 0, terms.len(), limit, to.after(number * TERMS / WORD), &mut adder);
        }
        adder.add_to(sums);
    }
}

/// Neighbours in memory among sixteen positions: the lanes that they fill, and where the first lane's element would lie.
#[derive(Clone, Copy, Default)]
struct Piece {
    mask: u16,
    from: isize,
}

/// The pieces that sixteen positions, or the last few, consist of.
fn pieces(free: &[isize]) -> SmallVec<[Piece; 2]> {
    let mut lane = 0;
    let pieces = free.chunk_by(|one, next| *next == one + 1).map(|piece| {
        let from = piece[0] - lane as isize;
        lane += piece.len();
        Piece { mask: mask(lane) & !mask(lane - piece.len()), from }
    });
    pieces.collect()
}

/// Groups of sixteen positions of which many are neighbours, a few words at a time of all of them.
#[allow(clippy::too_many_arguments, reason = "the inside of one loop")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn by_positions(
    first: *const f32,
    free: &[isize],
    terms: &[isize],
    all_scales: &[f32],
    limit: f32,
    layout: Layout,
    panels: &mut [i32],
    sums: &mut [i32],
) {
    /// Terms whose words are stored together: whole lines of a cache one after the other.
    const TERMS: usize = 16;
    let words = terms.len().div_ceil(WORD);
    // SAFETY: the caller vouches for elements and panels of all of these.
    unsafe {
        let limit = _mm512_set1_ps(limit);
        for (block, terms) in terms.chunks(TERMS).enumerate() {
            for (number, free) in free.chunks(GROUP).enumerate() {
                let to = To::new(layout, words, panels, number * GROUP, sums.len()).after(block * TERMS / WORD);
                let here = number * GROUP..number * GROUP + free.len();
                let scale = _mm512_maskz_loadu_ps(mask(free.len()), all_scales[here.clone()].as_ptr());
                let mut adder = Adder::new();
                if free.len() == GROUP && runs(free) == GROUP {
                    let line = first.wrapping_offset(free[0]);
                    let element = |term: isize| _mm512_loadu_ps(line.wrapping_offset(term));
                    words_of(element, terms, scale, limit, to, &mut adder);
                } else {
                    let pieces = pieces(free);
                    let element = |term: isize| {
                        let line = first.wrapping_offset(term);
                        pieces.iter().fold(_mm512_setzero_ps(), |elements, piece| {
                            _mm512_mask_loadu_ps(elements, piece.mask, line.wrapping_offset(piece.from))
                        })
                    };
                    words_of(element, terms, scale, limit, to, &mut adder);
                }
                if layout.role == Role::Rows {
                    adder.add_to(&mut sums[here]);
                }
            }
        }
    }
}

/// The words of a group of positions, whose elements of each of these terms `element` loads.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn words_of(
    element: impl Fn(isize) -> __m512,
    terms: &[isize],
    scale: __m512,
    limit: __m512,
    to: To,
    adder: &mut Adder,
) {
    for (word, terms) in terms.chunks(WORD).enumerate() {
        let integer = |at: usize| match terms.get(at) {
            Some(&term) => integers(element(term), scale, limit),
            None => _mm512_setzero_si512(),
        };
        let low = _mm512_mask_mov_epi8(_mm512_slli_epi32::<8>(integer(1)), 0x1111_1111_1111_1111, integer(0));
        let high = _mm512_mask_mov_epi8(
            _mm512_slli_epi32::<24>(integer(3)),
            0x4444_4444_4444_4444,
            _mm512_slli_epi32::<16>(integer(2)),
        );
        let integers = _mm512_mask_mov_epi16(high, 0x5555_5555, low);
        if to.role == Role::Rows {
            adder.add(integers);
        }
        // SAFETY: the caller vouches for room for these words.
        unsafe { to.store(word, integers) };
    }
}
