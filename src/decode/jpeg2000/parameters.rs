//! What the headers of a codestream and its tile-parts say.
//!
//! # Source
//! T.800 annex A; T.814 annex A for the code-block styles of the high-throughput coder.

use super::failed;
use crate::reason::Fault;

const SIZ: u8 = 0x51;
pub(super) const SOT: u8 = 0x90;
pub(super) const SOD: u8 = 0x93;
const COD: u8 = 0x52;
const COC: u8 = 0x53;
const RGN: u8 = 0x5E;
const QCD: u8 = 0x5C;
const QCC: u8 = 0x5D;
pub(super) const POC: u8 = 0x5F;
const PPM: u8 = 0x60;
const PPT: u8 = 0x61;

/// Most decomposition levels.
pub(super) const LEVELS: u32 = 32;

/// Most progression order changes: no encoder writes more than a few.
const CHANGES: usize = 32;

/// Order of packets (table A.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    LayerResolution,
    ResolutionLayer,
    ResolutionPosition,
    PositionResolution,
}

impl Order {
    fn of(byte: u8) -> Result<Order, Fault> {
        match byte {
            0 => Ok(Order::LayerResolution),
            1 => Ok(Order::ResolutionLayer),
            2 => Ok(Order::ResolutionPosition),
            // Components come after or before positions: of one component that is the same.
            3 | 4 => Ok(Order::PositionResolution),
            _ => Err(failed(format!("progression order {byte}, expected 0 to 4"))),
        }
    }
}

/// Packets of some resolutions and layers in one order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) order: Order,
    pub(super) first_resolution: u32,
    /// Behind the last one.
    pub(super) end_resolution: u32,
    /// Behind the last one.
    pub(super) end_layer: u32,
}

/// How code-blocks are coded (table A.19).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Style {
    /// Selective arithmetic coding bypass.
    pub(super) is_lazy: bool,
    /// Contexts are reset after each pass.
    pub(super) resets: bool,
    /// Each pass is terminated.
    pub(super) terminates: bool,
    /// Vertically causal contexts.
    pub(super) is_causal: bool,
    /// Segmentation symbols.
    pub(super) has_symbols: bool,
    /// High-throughput coder.
    pub(super) is_fast: bool,
}

impl Style {
    fn of(byte: u8) -> Result<Style, Fault> {
        if byte & 0x80 != 0 {
            return Err(failed("code-blocks of both coders in one tile are not taken"));
        }
        let has = |bit| byte & bit != 0;
        Ok(Style {
            is_lazy: has(0x01),
            resets: has(0x02),
            terminates: has(0x04),
            is_causal: has(0x08),
            // Predictable termination (0x10) is for the detection of errors alone.
            has_symbols: has(0x20),
            is_fast: has(0x40),
        })
    }
}

/// Exponent and mantissa of a quantisation step (equations E-3, E-5).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Step {
    pub(super) exponent: u32,
    pub(super) mantissa: u32,
}

/// What applies to a tile: the main header's, changed by the tile's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    pub(super) may_have_sop: bool,
    pub(super) may_have_eph: bool,
    pub(super) order: Option<Order>,
    pub(super) layers: u32,
    pub(super) levels: u32,
    /// Binary logarithms of a code-block's largest width and height.
    pub(super) block: (u32, u32),
    pub(super) style: Style,
    pub(super) is_reversible: bool,
    /// Binary logarithms of the width and height of the precincts of each resolution; none: 15.
    pub(super) precincts: Vec<(u32, u32)>,
    pub(super) guard_bits: u32,
    /// Quantisation style (table A.28).
    quantisation: u8,
    steps: Vec<Step>,
    /// Bits by which a region of interest is shifted up.
    pub(super) region_shift: u32,
    pub(super) changes: Vec<Change>,
    has_coc: bool,
    has_qcc: bool,
}

fn cut() -> Fault {
    failed("a marker segment is cut")
}

/// Markers without a segment: reserved ones, start and end of codestream, start of data.
fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x30..=0x3F | 0x4F | SOD | 0xD9)
}

/// The next marker segment: marker, body, what follows.
///
/// # Errors
/// Reason `decode_failed` where it is cut.
pub(super) fn segment(rest: &[u8]) -> Result<(u8, &[u8], &[u8]), Fault> {
    let (&[ones, marker], after) = rest.split_first_chunk().ok_or_else(cut)?;
    if ones != 0xFF {
        return Err(failed("no marker where one is expected"));
    }
    if is_alone(marker) {
        return Ok((marker, &[], after));
    }
    let length = usize::from(u16::from_be_bytes(*after.first_chunk().ok_or_else(cut)?));
    let body = after.get(2..length).ok_or_else(cut)?;
    Ok((marker, body, after.get(length..).ok_or_else(cut)?))
}

impl Parameters {
    /// The parameters as a tile starts with them: its own COD and QCD go before the main header's COC
    /// and QCC, its POC takes the place of the main header's.
    pub(super) fn of_tile(&self) -> Parameters {
        Parameters { has_coc: false, has_qcc: false, ..self.clone() }
    }

    /// Takes a marker segment in. Those that do not change how the image is decoded are skipped.
    ///
    /// # Errors
    /// Reason `decode_failed`.
    pub(super) fn take(&mut self, marker: u8, body: &[u8]) -> Result<(), Fault> {
        match (marker, body) {
            (COD, &[flags, order, l1, l2, _, ref coding @ ..]) => {
                self.may_have_sop = flags & 2 != 0;
                self.may_have_eph = flags & 4 != 0;
                self.order = Some(Order::of(order)?);
                self.layers = u16::from_be_bytes([l1, l2]).into();
                if self.layers == 0 {
                    return Err(failed("0 layers"));
                }
                if self.has_coc { Ok(()) } else { self.coding(flags & 1 != 0, coding) }
            }
            (COC, &[0, flags, ref coding @ ..]) => {
                self.has_coc = true;
                self.coding(flags & 1 != 0, coding)
            }
            (QCD, quantisation) if !self.has_qcc => self.quantisation(quantisation),
            (QCC, &[0, ref quantisation @ ..]) => {
                self.has_qcc = true;
                self.quantisation(quantisation)
            }
            (RGN, &[0, 0, shift]) => {
                self.region_shift = shift.into();
                Ok(())
            }
            (POC, changes) => self.changes(changes),
            (SIZ, _) => Err(failed("a second size segment")),
            (PPM | PPT, _) => Err(failed("packet headers apart from their packets are not taken")),
            (COD | COC | QCC | RGN, _) => Err(failed(format!("a segment of marker FF{marker:02X} is wrong"))),
            _ => Ok(()),
        }
    }

    /// SPcod, SPcoc (tables A.15, A.20).
    fn coding(&mut self, has_precincts: bool, coding: &[u8]) -> Result<(), Fault> {
        let &[levels, width, height, style, transform, ref precincts @ ..] = coding else { return Err(cut()) };
        self.levels = levels.into();
        self.block = (u32::from(width & 15) + 2, u32::from(height & 15) + 2);
        self.style = Style::of(style)?;
        self.is_reversible = transform == 1;
        if self.levels > LEVELS || transform > 1 {
            return Err(failed(format!(
                "{levels} levels of transform {transform}, expected at most {LEVELS} of 0 or 1"
            )));
        }
        if self.block.0 > 10 || self.block.1 > 10 || self.block.0 + self.block.1 > 12 {
            return Err(failed("code-blocks are too large"));
        }
        self.precincts.clear();
        if has_precincts {
            let precincts = precincts.get(..usize::from(levels) + 1).ok_or_else(cut)?;
            self.precincts.extend(precincts.iter().map(|&size| (u32::from(size & 15), u32::from(size >> 4))));
            if self.precincts.iter().skip(1).any(|&(width, height)| width == 0 || height == 0) {
                return Err(failed("precincts of one sample"));
            }
        }
        Ok(())
    }

    /// Sqcd and SPqcd (tables A.28 to A.30).
    fn quantisation(&mut self, quantisation: &[u8]) -> Result<(), Fault> {
        let (&style, steps) = quantisation.split_first().ok_or_else(cut)?;
        self.guard_bits = u32::from(style >> 5);
        self.quantisation = style & 31;
        self.steps.clear();
        match self.quantisation {
            0 => self.steps.extend(steps.iter().map(|&step| Step { exponent: u32::from(step >> 3), mantissa: 0 })),
            1 | 2 => self.steps.extend(steps.as_chunks().0.iter().map(|&step| {
                let step = u32::from(u16::from_be_bytes(step));
                Step { exponent: step >> 11, mantissa: step & 0x7FF }
            })),
            other => return Err(failed(format!("quantisation style {other}, expected 0 to 2"))),
        }
        Ok(())
    }

    /// A POC segment (table A.32).
    fn changes(&mut self, changes: &[u8]) -> Result<(), Fault> {
        for &[first_resolution, first, l1, l2, end_resolution, _, order] in changes.as_chunks().0 {
            // Of components there is the first alone.
            if first > 0 {
                continue;
            }
            self.changes.push(Change {
                order: Order::of(order)?,
                first_resolution: first_resolution.into(),
                end_resolution: end_resolution.into(),
                end_layer: u16::from_be_bytes([l1, l2]).into(),
            });
        }
        if self.changes.len() > CHANGES {
            return Err(failed("too many changes of the progression order"));
        }
        Ok(())
    }

    /// Whether there is all that decoding needs: a coding style and a step for each subband.
    ///
    /// # Errors
    /// Reason `decode_failed`.
    pub(super) fn check(&self) -> Result<Order, Fault> {
        let order = self.order.ok_or_else(|| failed("no coding style"))?;
        let needed = if self.quantisation == 1 { 1 } else { 3 * self.levels as usize + 1 };
        if self.steps.len() < needed {
            return Err(failed(format!("{} quantisation steps, expected {needed}", self.steps.len())));
        }
        if self.is_reversible && self.quantisation != 0 {
            return Err(failed("a reversible transform with quantisation"));
        }
        Ok(order)
    }

    /// The step of subband `band` of a resolution: LL is band 0 of resolution 0; others have 0 to 2.
    pub(super) fn step(&self, resolution: u32, band: u32) -> Step {
        let above = resolution.saturating_sub(1);
        if self.quantisation == 1 {
            let step = self.steps.first().copied().unwrap_or_default();
            return Step { exponent: step.exponent.saturating_sub(above), ..step };
        }
        let at = if resolution == 0 { 0 } else { 1 + 3 * above + band };
        self.steps.get(at as usize).copied().unwrap_or_default()
    }
}
