//! Where everything of a tile lies: resolutions, subbands, precincts, code-blocks.
//!
//! # Source
//! T.800 annex B.

use super::contexts::Kind;
use super::parameters::{Parameters, Step};
use super::tag_tree::{self, Node, UNKNOWN};
use crate::decode::limits;
use crate::reason::Fault;

/// Columns from `left` to before `right`, rows from `top` to before `bottom`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) right: u32,
    pub(super) bottom: u32,
}

impl Rect {
    pub(super) fn width(&self) -> u32 {
        self.right.saturating_sub(self.left)
    }

    pub(super) fn height(&self) -> u32 {
        self.bottom.saturating_sub(self.top)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.width() == 0 || self.height() == 0
    }

    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width()) * u64::from(self.height())
    }

    pub(super) fn meet(&self, other: &Rect) -> Rect {
        Rect {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// After `levels` decompositions: the samples at multiples of `2^levels` (equations B-14, B-15 with
    /// no high-pass filter).
    fn reduced(&self, levels: u32) -> Rect {
        self.filtered(levels, 0, 0)
    }

    /// The subband of the last of `levels` decompositions whose first sample lies `x`, `y` half steps
    /// away (equation B-15).
    fn filtered(&self, levels: u32, x: u32, y: u32) -> Rect {
        let at = |position: u32, offset: u32| {
            let away = if offset == 0 { 0 } else { 1u64 << levels >> 1 };
            u64::from(position).saturating_sub(away).div_ceil(1 << levels) as u32
        };
        Rect { left: at(self.left, x), top: at(self.top, y), right: at(self.right, x), bottom: at(self.bottom, y) }
    }

    /// The cell (`row`, `column`) of a grid of cells of 2^width by 2^height.
    fn cell(row: u64, column: u64, (width, height): (u32, u32)) -> Rect {
        let at = |index: u64, size: u32| u32::try_from(index << size).unwrap_or(u32::MAX);
        Rect {
            left: at(column, width),
            top: at(row, height),
            right: at(column + 1, width),
            bottom: at(row + 1, height),
        }
    }

    /// The cells of such a grid that it touches, none where it is empty: the first row and column, and
    /// how many rows and columns.
    fn cells(&self, (width, height): (u32, u32)) -> Grid {
        if self.is_empty() {
            return Grid::default();
        }
        let first = |start: u32, size: u32| start >> size;
        let count = |start: u32, end: u32, size: u32| ((end - 1) >> size) - (start >> size) + 1;
        Grid {
            row: first(self.top, height),
            column: first(self.left, width),
            high: count(self.top, self.bottom, height),
            wide: count(self.left, self.right, width),
        }
    }
}

/// Some cells of a grid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Grid {
    row: u32,
    column: u32,
    pub(super) high: u32,
    pub(super) wide: u32,
}

impl Grid {
    fn count(&self) -> u64 {
        u64::from(self.high) * u64::from(self.wide)
    }
}

/// A subband.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pub(super) kind: Kind,
    rect: Rect,
    /// Binary logarithms of the size of a code-block.
    block: (u32, u32),
    /// Row and column of its first sample among the coefficients of the tile.
    place: (usize, usize),
    /// Bit planes (M_b, equation E-2), those of a region of interest too.
    pub(super) planes: u32,
    pub(super) step: Step,
}

/// A precinct's part of one subband.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Index into [`Layout::bands`].
    pub(super) band: u32,
    /// The part of the subband.
    rect: Rect,
    /// Index of its first code-block.
    pub(super) first_block: u32,
    /// Index of the first node of its two tag trees, inclusion and zero bit planes.
    pub(super) first_node: u32,
}

/// A code-block as the packets fill it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockState {
    /// Index plus 1 of its first and last chunk.
    pub(super) first_chunk: u32,
    pub(super) last_chunk: u32,
    /// Bit planes that are not zero; 0 before it is included.
    pub(super) planes: u8,
    pub(super) passes: u8,
    /// Lblock (B.10.7.1).
    pub(super) length_bits: u8,
}

/// One resolution of the tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolution {
    /// The low-pass image of this resolution.
    pub(super) rect: Rect,
    /// Its precincts.
    grid: Grid,
    /// Binary logarithms of their size.
    precinct: (u32, u32),
    first_precinct: u32,
    /// Index of the first of its parts, and parts of each precinct: 1 or 3.
    first_part: u32,
    bands: u32,
}

/// All of a tile.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) resolutions: Vec<Resolution>,
    pub(super) bands: Vec<Band>,
    parts: Vec<Part>,
    pub(super) blocks: Vec<BlockState>,
    pub(super) nodes: Vec<Node>,
    /// Layers that were read of each precinct.
    pub(super) layers: Vec<u16>,
}

/// A code-block's rectangle among the coefficients of the tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Layout {
    /// The layout of a tile.
    ///
    /// # Errors
    /// Reason `limit_exceeded` where there are more precincts or code-blocks than pixels are good for:
    /// one precinct for 32 and one code-block for 8, and some thousands.
    pub(super) fn of(tile: &Rect, parameters: &Parameters) -> Result<Layout, Fault> {
        let mut layout = Layout::default();
        for resolution in 0..=parameters.levels {
            layout.add(tile, parameters, resolution);
        }
        let precincts = layout.resolutions.iter().map(|resolution| resolution.grid.count()).sum();
        let blocks = layout.bands.iter().map(|band| band.rect.cells(band.block).count()).sum();
        for (what, found, most) in
            [("precincts", precincts, tile.pixels() / 32 + 2_048), ("code-blocks", blocks, tile.pixels() / 8 + 2_048)]
        {
            if found > most {
                return Err(limits::exceeded(what, found, most));
            }
        }
        layout.divide(precincts as usize, blocks as usize);
        Ok(layout)
    }

    fn add(&mut self, tile: &Rect, parameters: &Parameters, resolution: u32) {
        let rect = tile.reduced(parameters.levels - resolution);
        let precinct = parameters.precincts.get(resolution as usize).copied().unwrap_or((15, 15));
        let grid = rect.cells(precinct);
        let first = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (first_precinct, first_part) = match self.resolutions.last() {
            Some(last) => {
                let count = last.grid.count();
                let precincts = u64::from(last.first_precinct) + count;
                (first(precincts), first(u64::from(last.first_part) + count * u64::from(last.bands)))
            }
            None => (0, 0),
        };
        let bands = if resolution == 0 { 1 } else { 3 };
        self.resolutions.push(Resolution { rect, grid, precinct, first_precinct, first_part, bands });
        let below = tile.reduced(parameters.levels - resolution + u32::from(resolution > 0));
        let (width, height) = (below.width() as usize, below.height() as usize);
        let is_upper = u32::from(resolution > 0);
        let levels = parameters.levels - resolution + is_upper;
        let kinds: &[_] = match resolution {
            0 => &[(Kind::Ll, 0, 0)],
            _ => &[(Kind::Hl, 1, 0), (Kind::Lh, 0, 1), (Kind::Hh, 1, 1)],
        };
        for (&(kind, x, y), band) in kinds.iter().zip(0..) {
            let step = parameters.step(resolution, band);
            self.bands.push(Band {
                kind,
                rect: tile.filtered(levels, x, y),
                block: (parameters.block.0.min(precinct.0 - is_upper), parameters.block.1.min(precinct.1 - is_upper)),
                place: (height * y as usize, width * x as usize),
                planes: (parameters.guard_bits + step.exponent + parameters.region_shift).saturating_sub(1),
                step,
            });
        }
    }

    /// Makes the parts of the precincts, the code-blocks and the nodes of the tag trees.
    fn divide(&mut self, precincts: usize, blocks: usize) {
        self.layers = vec![0; precincts];
        self.blocks = vec![BlockState { length_bits: 3, ..BlockState::default() }; blocks];
        let mut first_band = 0;
        let (mut first_block, mut first_node) = (0, 0);
        for resolution in &self.resolutions {
            let is_upper = u32::from(resolution.bands == 3);
            let size = (resolution.precinct.0.saturating_sub(is_upper), resolution.precinct.1.saturating_sub(is_upper));
            for index in 0..resolution.grid.count() {
                let grid = &resolution.grid;
                let row = u64::from(grid.row) + index / u64::from(grid.wide);
                let column = u64::from(grid.column) + index % u64::from(grid.wide);
                let cell = Rect::cell(row, column, size);
                for (band, number) in self.bands.iter().zip(0..).skip(first_band).take(resolution.bands as usize) {
                    let rect = band.rect.meet(&cell);
                    let grid = rect.cells(band.block);
                    self.parts.push(Part { band: number, rect, first_block, first_node });
                    first_block += grid.count() as u32;
                    first_node += 2 * tag_tree::nodes(grid.wide, grid.high) as u32;
                }
            }
            first_band += resolution.bands as usize;
        }
        self.nodes = vec![UNKNOWN; first_node as usize];
    }

    /// Precincts of all resolutions.
    pub(super) fn precincts(&self) -> usize {
        self.layers.len()
    }

    /// The precincts of a resolution; none of one that is not there.
    pub(super) fn precincts_of(&self, resolution: u32) -> std::ops::Range<u32> {
        self.resolutions.get(resolution as usize).map_or(0..0, |resolution| {
            resolution.first_precinct..resolution.first_precinct + resolution.grid.count() as u32
        })
    }

    /// Row and column of the tile at which a precinct of a resolution comes in the orders by position.
    pub(super) fn position(&self, resolution: u32, precinct: u32) -> (u64, u64) {
        let Some(of) = self.resolutions.get(resolution as usize) else { return (0, 0) };
        let levels = self.resolutions.len() as u32 - 1 - resolution;
        let index = precinct.saturating_sub(of.first_precinct);
        let (row, column) = (of.grid.row + index / of.grid.wide.max(1), of.grid.column + index % of.grid.wide.max(1));
        let tile = self.resolutions.last().map_or(Rect::default(), |full| full.rect);
        let at = |cell: u32, size: u32, start: u32| (u64::from(cell) << (size + levels)).max(u64::from(start));
        (at(row, of.precinct.1, tile.top), at(column, of.precinct.0, tile.left))
    }

    /// The parts of a precinct of a resolution, one for each subband.
    pub(super) fn parts_of(&self, resolution: u32, precinct: u32) -> &[Part] {
        let Some(of) = self.resolutions.get(resolution as usize) else { return &[] };
        let start = of.first_part as usize + precinct.saturating_sub(of.first_precinct) as usize * of.bands as usize;
        self.parts.get(start..start + of.bands as usize).unwrap_or_default()
    }

    /// All parts.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The subband of a part.
    pub(super) fn band_of(&self, part: &Part) -> Option<&Band> {
        self.bands.get(part.band as usize)
    }
}

impl Part {
    /// Columns and rows of its code-blocks.
    pub(super) fn blocks(&self, band: &Band) -> (u32, u32) {
        let grid = self.rect.cells(band.block);
        (grid.wide, grid.high)
    }

    /// Where its code-blocks lie among the coefficients of the tile, row by row.
    pub(super) fn places(&self, band: &Band) -> impl Iterator<Item = Place> {
        let (part, band) = (*self, *band);
        let grid = part.rect.cells(band.block);
        (0..grid.count()).map(move |index| {
            let row = u64::from(grid.row) + index / u64::from(grid.wide);
            let column = u64::from(grid.column) + index % u64::from(grid.wide);
            let rect = Rect::cell(row, column, band.block).meet(&part.rect);
            Place {
                row: band.place.0 + (rect.top - band.rect.top) as usize,
                column: band.place.1 + (rect.left - band.rect.left) as usize,
                width: rect.width() as usize,
                height: rect.height() as usize,
            }
        })
    }
}
