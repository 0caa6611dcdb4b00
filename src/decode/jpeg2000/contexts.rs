//! Significance, signs and contexts of a code-block: one word of flags for each column of four rows.
//!
//! Bits of a word, from the lowest: 18 of significance, three for each of six rows (the row above, the
//! four, the row below), each three the west neighbour, the column itself, the east neighbour. Then the
//! sign above, and for each of the four rows its sign, whether it was refined, whether it was visited in
//! this bit plane; the sign below is the last. So the flags of row `r` are those of row 0, shifted by
//! `3 r`, but for the sign above row 0.
//!
//! # Source
//! T.800 tables D.1 to D.4. The arrangement is the one of OpenJPEG since 2.3.

/// Significance of row 0.
pub(super) const SIGNIFICANT: u32 = 1 << 4;
/// Significance of its eight neighbours.
pub(super) const NEIGHBOURS: u32 = 0x1EF;
/// Row 0 was refined.
pub(super) const REFINED: u32 = 1 << 20;
/// Row 0 was visited in this bit plane.
pub(super) const VISITED: u32 = 1 << 21;
/// All four were visited.
pub(super) const ALL_VISITED: u32 = VISITED | VISITED << 3 | VISITED << 6 | VISITED << 9;
/// Significance of all four.
pub(super) const ALL_SIGNIFICANT: u32 = SIGNIFICANT | SIGNIFICANT << 3 | SIGNIFICANT << 6 | SIGNIFICANT << 9;

const SIGN_ABOVE: u32 = 18;
const SIGN: u32 = 19;
const SIGN_BELOW: u32 = 31;

/// The kind of a subband: which low-pass and high-pass filters made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Low-pass in both directions.
    Ll,
    /// High-pass along rows.
    Hl,
    /// High-pass along columns.
    Lh,
    /// High-pass in both directions.
    Hh,
}

/// Context of significance by the eight neighbours, the middle bit of nine unused.
pub(super) type Significance = [u8; 512];

static LOW: Significance = significance(false, false);
static TURNED: Significance = significance(true, false);
static DIAGONAL: Significance = significance(false, true);

/// The contexts of significance of this kind of subband (table D.1).
pub(super) fn significance_of(kind: Kind) -> &'static Significance {
    match kind {
        Kind::Ll | Kind::Lh => &LOW,
        Kind::Hl => &TURNED,
        Kind::Hh => &DIAGONAL,
    }
}

const fn significance(is_turned: bool, is_diagonal: bool) -> Significance {
    let mut contexts = [0; 512];
    let mut near = 0;
    while near < 512 {
        let along = (near >> 3 & 1) + (near >> 5 & 1);
        let across = (near >> 1 & 1) + (near >> 7 & 1);
        let diagonal = (near & 1) + (near >> 2 & 1) + (near >> 6 & 1) + (near >> 8 & 1);
        let (h, v) = if is_turned { (across, along) } else { (along, across) };
        contexts[near] = if is_diagonal {
            match (diagonal, h + v) {
                (3.., _) => 8,
                (2, 1..) => 7,
                (2, _) => 6,
                (1, 2..) => 5,
                (1, 1) => 4,
                (1, _) => 3,
                (_, 2..) => 2,
                (_, sum) => sum as u8,
            }
        } else {
            match (h, v, diagonal) {
                (2, _, _) => 8,
                (1, 1.., _) => 7,
                (1, _, 1..) => 6,
                (1, _, _) => 5,
                (_, 2, _) => 4,
                (_, 1, _) => 3,
                (_, _, 2..) => 2,
                (_, _, sum) => sum as u8,
            }
        };
        near += 1;
    }
    contexts
}

/// Context of a sign, and in bit 7 what to turn the decision by, for the byte of [`sign_hint`].
static SIGNS: [u8; 256] = signs();

const fn signs() -> [u8; 256] {
    let mut hints = [0; 256];
    let mut near = 0;
    while near < 256 {
        let west = contribution(near >> 3, near);
        let east = contribution(near >> 5, near >> 2);
        let above = contribution(near >> 1, near >> 4);
        let below = contribution(near >> 7, near >> 6);
        let (h, v) = (limited(west + east), limited(above + below));
        hints[near] = match (h, v) {
            (1, 1) => 13,
            (1, 0) => 12,
            (1, _) => 11,
            (0, 1) => 10,
            (0, 0) => 9,
            (0, _) => 10 | 0x80,
            (_, 1) => 11 | 0x80,
            (_, 0) => 12 | 0x80,
            (_, _) => 13 | 0x80,
        };
        near += 1;
    }
    hints
}

const fn contribution(significant: usize, negative: usize) -> i32 {
    if significant & 1 == 0 {
        0
    } else if negative & 1 == 0 {
        1
    } else {
        -1
    }
}

const fn limited(sum: i32) -> i32 {
    if sum > 1 {
        1
    } else if sum < -1 {
        -1
    } else {
        sum
    }
}

/// What a sign of row `row` is decided by: the column's flags and those of its west and east neighbour.
#[inline(always)]
pub(super) fn sign_hint(flags: u32, west: u32, east: u32, row: u32) -> u8 {
    let shift = 3 * row;
    let above = if row == 0 { flags >> SIGN_ABOVE } else { flags >> (SIGN + shift - 3) };
    let near = (flags >> shift & 0xAA)
        | (west >> (SIGN + shift) & 1)
        | (east >> (SIGN + shift) & 1) << 2
        | (above & 1) << 4
        | (flags >> (SIGN + 3 + shift) & 1) << 6;
    SIGNS[(near & 0xFF) as usize]
}

/// The flags of three rows of columns, each with a margin of one column on both sides.
pub(super) struct Rows<'a> {
    pub(super) above: &'a mut [u32],
    pub(super) here: &'a mut [u32],
    pub(super) below: &'a mut [u32],
}

impl Rows<'_> {
    /// Row `row` of the column at `at` (its margin counted) became significant. Its own flags are in
    /// `flags`; `is_causal` keeps it from the rows above.
    #[inline(always)]
    pub(super) fn mark(&mut self, at: usize, flags: &mut u32, row: u32, sign: u32, is_causal: bool) {
        let shift = 3 * row;
        *flags |= (SIGNIFICANT | sign << SIGN) << shift;
        self.here[at - 1] |= SIGNIFICANT << 1 << shift;
        self.here[at + 1] |= SIGNIFICANT >> 1 << shift;
        if row == 0 && !is_causal {
            self.above[at - 1] |= 1 << 17;
            self.above[at] |= sign << SIGN_BELOW | 1 << 16;
            self.above[at + 1] |= 1 << 15;
        }
        if row == 3 {
            self.below[at - 1] |= 1 << 2;
            self.below[at] |= sign << SIGN_ABOVE | 1 << 1;
            self.below[at + 1] |= 1;
        }
    }
}
