//! JPEG with a DCT, Huffman coded: 8 and 12 bits, sequential and progressive, one component.
//!
//! Which of the processes a frame is in is read from its own start of frame: the transfer syntax only
//! says that it is one of them.
//!
//! # Source
//! T.81 annex B (segments), F.2 (sequential), G.2 (progressive), A.3 (DCT), processes 1, 2, 4, 6, 8, 10
//! and 12; PS3.5 A.4.1.

use super::codestream::failed;
use super::entropy_bits::{Bits, Stuffing};
use super::format::{Cells, Format};
use super::huffman::{Huffman, Tables, Values};
use super::idct::{Idct, Spectrum};
use super::jpeg_progressive::Coefficients;
use super::markers::{self, Segments};
use crate::reason::{Fault, Reason};

/// What a start of frame says beyond what the data set has too.
struct Frame {
    is_progressive: bool,
    precision: u32,
    /// Which quantization table.
    quantization: u8,
}

/// A scan header.
pub(crate) struct Scan {
    pub(crate) dc_table: u8,
    pub(crate) ac_table: u8,
    /// First coefficient, in zigzag order.
    pub(crate) start: u8,
    /// Last coefficient.
    pub(crate) end: u8,
    /// Lowest bit that is known before; 0: none is.
    pub(crate) high: u8,
    /// Lowest bit of this scan.
    pub(crate) low: u8,
}

/// What the segments so far define.
#[derive(Default)]
pub(crate) struct Definitions {
    pub(crate) huffman: Tables,
    /// In zigzag order.
    quantization: [Option<[u16; 64]>; 4],
    /// Blocks from restart to restart; 0: no restarts.
    pub(crate) restart: usize,
}

/// Whether a restart marker stands before this block.
pub(crate) fn is_restart(interval: usize, block: usize) -> bool {
    interval > 0 && block > 0 && block.is_multiple_of(interval)
}

/// A coefficient, where it is one: those of 12-bit samples need 15 bits and a sign.
///
/// # Errors
/// Reason `decode_failed`.
pub(crate) fn check_fits(coefficient: i32) -> Result<i16, Fault> {
    match i16::try_from(coefficient) {
        Ok(coefficient) if coefficient > i16::MIN => Ok(coefficient),
        _ => Err(failed("a coefficient of more than 16 bits")),
    }
}

/// Cells of one frame. An unsigned sample above what Bits Stored holds (the DCT rings at edges) is the
/// largest value that it holds.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set or its
/// process is not one of these, `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let mut definitions = Definitions::default();
    let mut segments = Segments::of(frame)?;
    let start = loop {
        match segments.next()? {
            (marker, body) if markers::is_frame(marker) => break Frame::of(marker, body, format)?,
            (markers::SOS, _) => return Err(failed("a scan before its frame")),
            (marker, body) => definitions.read(marker, body)?,
        }
    };
    let scan = definitions.scan(&mut segments)?;
    // Later scans do not change it.
    let quantization = definitions.quantization.get(usize::from(start.quantization)).and_then(Option::as_ref);
    let quantization = quantization.ok_or_else(|| failed("a frame without its quantization table"))?;
    let bits = if format.is_signed { start.precision } else { start.precision.min(format.bits_stored.into()) };
    let idct = Idct::new(quantization, start.precision, u16::MAX >> (16 - bits));
    if start.is_progressive {
        let coefficients = progressive(definitions, scan, segments, format)?;
        let mut blocks = coefficients.blocks()?.iter();
        let mut next = || blocks.next().ok_or_else(|| failed("fewer blocks than pixels"));
        return cells(format, |_| Ok(idct.block_samples(next()?)));
    }
    sequential(&definitions, &scan, segments.rest(), format, &idct)
}

impl Frame {
    fn of(marker: u8, body: &[u8], format: &Format) -> Result<Frame, Fault> {
        let process = match marker {
            markers::SOF0 | markers::SOF1 | markers::SOF2 => None,
            0xC9..=0xCB | 0xCD..=0xCF => Some("arithmetic coded"),
            _ => Some("not a sequential or progressive DCT"),
        };
        if let Some(process) = process {
            return Err(Fault::new(Reason::CodestreamMismatch, format!("the JPEG process is {process}")));
        }
        let claim = markers::claim(body)?;
        claim.check(format)?;
        match body.get(6..9) {
            // Of one component the sampling factors change nothing, but they are 1 to 4.
            Some(&[_, sampling, _])
                if ![sampling >> 4, sampling & 15].iter().all(|factor| (1..=4).contains(factor)) =>
            {
                Err(failed("a sampling factor that is not 1 to 4"))
            }
            Some(&[_, _, quantization]) if matches!(claim.precision, 8 | 12) => {
                Ok(Frame { is_progressive: marker == markers::SOF2, precision: claim.precision, quantization })
            }
            Some(_) => Err(failed(format!("a DCT of {} bits, expected 8 or 12", claim.precision))),
            None => Err(failed("a start of frame is cut")),
        }
    }
}

impl Definitions {
    /// Takes in one segment, whatever it is.
    fn read(&mut self, marker: u8, body: &[u8]) -> Result<(), Fault> {
        match (marker, body) {
            (markers::DHT, _) => self.huffman.read(body)?,
            (markers::DQT, _) => self.read_quantization(body)?,
            (markers::DRI, &[a, b, ..]) => self.restart = usize::from(u16::from_be_bytes([a, b])),
            _ => {}
        }
        Ok(())
    }

    fn read_quantization(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some((&place, rest)) = body.split_first() {
            let is_wide = place >> 4 != 0;
            let cut = || failed("a quantization table is cut");
            let (steps, rest) = rest.split_at_checked(if is_wide { 128 } else { 64 }).ok_or_else(cut)?;
            let mut table = [0; 64];
            if is_wide {
                let steps = steps.as_chunks().0;
                table.iter_mut().zip(steps).for_each(|(step, &bytes)| *step = u16::from_be_bytes(bytes));
            } else {
                table.iter_mut().zip(steps).for_each(|(step, &byte)| *step = byte.into());
            }
            // No frame can name another.
            if let Some(slot) = self.quantization.get_mut(usize::from(place & 15)) {
                *slot = Some(table);
            }
            body = rest;
        }
        Ok(())
    }

    /// The next scan header, and all segments before it.
    fn scan(&mut self, segments: &mut Segments<'_>) -> Result<Scan, Fault> {
        loop {
            match segments.next()? {
                (markers::SOS, &[1, _, tables, start, end, bits, ..]) => {
                    let (dc_table, ac_table, high, low) = (tables >> 4, tables & 15, bits >> 4, bits & 15);
                    return Ok(Scan { dc_table, ac_table, start, end, high, low });
                }
                (markers::SOS, _) => return Err(failed("a scan header that is not of one component")),
                (marker, _) if markers::is_frame(marker) => return Err(failed("a second start of frame")),
                (marker, body) => self.read(marker, body)?,
            }
        }
    }
}

/// Blocks of 8x8 across and down the image, those at its edges not whole.
fn blocks(format: &Format) -> (usize, usize) {
    ((format.columns as usize).div_ceil(8), (format.rows as usize).div_ceil(8))
}

/// Puts the samples of each block, which `next` gives by its index, into their place.
#[inline(always)]
fn cells(format: &Format, mut next: impl FnMut(usize) -> Result<[[u16; 8]; 8], Fault>) -> Result<Cells, Fault> {
    let columns = format.columns as usize;
    let (across, _) = blocks(format);
    let mut cells = vec![0u16; format.pixels()];
    for (down, strip) in cells.chunks_mut(8 * columns).enumerate() {
        for block in 0..across {
            let samples = next(down * across + block)?;
            for (row, samples) in strip.chunks_exact_mut(columns).zip(&samples) {
                match row.get_mut(8 * block..8 * block + 8) {
                    Some(whole) => whole.copy_from_slice(samples),
                    None => row.iter_mut().skip(8 * block).zip(samples).for_each(|(cell, &sample)| *cell = sample),
                }
            }
        }
    }
    Ok(Cells::Narrow(cells))
}

/// All scans up to the end of the image: a frame that is cut between two would only look blurred.
fn progressive<'a>(
    mut definitions: Definitions,
    mut scan: Scan,
    mut segments: Segments<'a>,
    format: &Format,
) -> Result<Coefficients, Fault> {
    let (across, down) = blocks(format);
    let mut coefficients = Coefficients::new(across * down);
    loop {
        let rest = coefficients.take(&scan, &definitions, segments.rest())?;
        match Segments::after_scan(rest)? {
            Some(next) => segments = next,
            None => return Ok(coefficients),
        }
        scan = definitions.scan(&mut segments)?;
    }
}

/// The one scan of a sequential frame. Its header's band and bits can only be 0 to 63 and 0; there are
/// files where they are not, and every decoder that takes these passes over it.
fn sequential(
    definitions: &Definitions,
    scan: &Scan,
    data: &[u8],
    format: &Format,
    idct: &Idct,
) -> Result<Cells, Fault> {
    let (dc_table, ac_table) = (definitions.huffman.dc(scan.dc_table)?, definitions.huffman.ac(scan.ac_table)?);
    let coefficients = ac_table.coefficients();
    let (across, _) = blocks(format);
    let mut bits = Bits::new(data, Stuffing::Byte);
    let mut prediction = 0;
    let cells = cells(format, |index| {
        if is_restart(definitions.restart, index) {
            bits.restart()?;
            prediction = 0;
        } else if index % across == 0 {
            bits.check_not_over()?;
        }
        let category = bits.symbol(dc_table)?;
        let dc = check_fits(prediction + bits.dc_difference(category)?)?;
        prediction = i32::from(dc);
        let mut spectrum = idct.spectrum(dc);
        ac(&mut bits, &coefficients, idct, &mut spectrum)?;
        Ok(idct.samples(&spectrum))
    })?;
    bits.check_not_over()?;
    Ok(cells)
}

/// Coefficients of one refill of the window.
const AT_ONCE: usize = 4;

/// The coefficients of a block behind its first.
#[inline(always)]
fn ac(bits: &mut Bits<'_>, table: &Values<'_>, idct: &Idct, spectrum: &mut Spectrum) -> Result<(), Fault> {
    let mut k = 1;
    loop {
        bits.refill();
        for _ in 0..AT_ONCE {
            let (symbol, value) = match bits.symbol_and_value(table) {
                Some(found) => found,
                None => long_coefficient(bits, table.codes())?,
            };
            match (symbol >> 4, symbol & 15) {
                (15, 0) => k += 16,
                (_, 0) => return Ok(()),
                (zeros, _) => {
                    k += usize::from(zeros);
                    if !idct.set(spectrum, k, value) {
                        return Err(failed("a coefficient behind the block"));
                    }
                    k += 1;
                }
            }
            if k >= 64 {
                return Ok(());
            }
        }
    }
}

/// One that is not in the table at once.
#[inline(always)]
fn long_coefficient(bits: &mut Bits<'_>, table: &Huffman) -> Result<(u8, i16), Fault> {
    let symbol = bits.symbol(table)?;
    let category = u32::from(symbol & 15);
    let value = if category > 0 { bits.value(category) as i16 } else { 0 };
    bits.refill();
    Ok((symbol, value))
}

#[cfg(test)]
mod tests {
    use super::super::idct::Block;
    use super::*;
    use proptest::prelude::*;

    fn format(rows: u32, columns: u32, bits: u16) -> Format {
        Format::unsigned(rows, columns, bits)
    }

    /// Entropy-coded bits on their way out: every symbol has a code of 9 bits, itself.
    #[derive(Default)]
    struct Writer {
        out: Vec<u8>,
        bits: String,
    }

    impl Writer {
        fn symbol(&mut self, symbol: u8) {
            self.bits.push_str(&format!("{symbol:09b}"));
        }

        fn plain(&mut self, value: u32, count: u32) {
            if count > 0 {
                self.bits.push_str(&format!("{value:0width$b}", width = count as usize));
            }
        }

        /// Bits of a value of this category.
        fn value(&mut self, value: i32) {
            let category = category(value);
            self.plain((if value < 0 { value + (1 << category) - 1 } else { value }) as u32, category);
        }

        fn flush(&mut self) {
            while !self.bits.len().is_multiple_of(8) {
                self.bits.push('1');
            }
            for byte in std::mem::take(&mut self.bits).as_bytes().chunks(8) {
                let byte = u8::from_str_radix(std::str::from_utf8(byte).expect("ascii"), 2).expect("bits");
                self.out.push(byte);
                if byte == 0xFF {
                    self.out.push(0);
                }
            }
        }

        fn segment(&mut self, marker: u8, body: &[u8]) {
            self.flush();
            self.out.extend([0xFF, marker]);
            self.out.extend((body.len() as u16 + 2).to_be_bytes());
            self.out.extend(body);
        }
    }

    fn category(value: i32) -> u32 {
        32 - value.unsigned_abs().leading_zeros()
    }

    /// A frame before it is written.
    #[derive(Clone, Debug)]
    struct Image {
        rows: u16,
        columns: u16,
        precision: u8,
        steps: [u8; 64],
        restart: u16,
        blocks: Vec<Block>,
    }

    /// Start, end, high and low of a scan.
    type Band = (u8, u8, u8, u8);

    impl Image {
        fn encode(&self, marker: u8, scans: &[Band]) -> Vec<u8> {
            let mut writer = Writer { out: vec![0xFF, 0xD8], bits: String::new() };
            writer.segment(0xDB, &[&[0][..], &self.steps].concat());
            let size = [self.rows.to_be_bytes(), self.columns.to_be_bytes()].concat();
            writer.segment(marker, &[&[self.precision][..], &size, &[1, 1, 0x11, 0]].concat());
            for class in [0, 0x10] {
                let mut body = vec![class, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0];
                body.extend(0..255);
                writer.segment(0xC4, &body);
            }
            writer.segment(0xDD, &self.restart.to_be_bytes());
            for &band in scans {
                writer.segment(0xDA, &[1, 1, 0, band.0, band.1, band.2 << 4 | band.3]);
                self.scan(&mut writer, band, marker == 0xC2);
            }
            writer.flush();
            writer.out.extend([0xFF, 0xD9]);
            writer.out
        }

        fn scan(&self, writer: &mut Writer, band: Band, is_progressive: bool) {
            let (mut prediction, mut run, mut marker) = (0, 0, 0);
            for (index, block) in self.blocks.iter().enumerate() {
                if is_restart(self.restart.into(), index) {
                    end_run(writer, &mut run);
                    writer.flush();
                    writer.out.extend([0xFF, 0xD0 + marker % 8]);
                    marker += 1;
                    prediction = 0;
                }
                let low = if is_progressive { band.3 } else { 0 };
                match (band, is_progressive) {
                    ((0, _, _, _), false) | ((0, _, 0, _), true) => {
                        let value = i32::from(block[0]) >> low;
                        writer.symbol(category(value - prediction) as u8);
                        writer.value(value - prediction);
                        prediction = value;
                        if !is_progressive {
                            first(writer, block, (1, 63, 0, 0), &mut 0, false);
                        }
                    }
                    ((0, _, _, low), true) => writer.plain((block[0] >> low & 1) as u16 as u32, 1),
                    ((_, _, 0, _), _) => first(writer, block, band, &mut run, true),
                    _ => refine(writer, block, band),
                }
            }
            end_run(writer, &mut run);
        }
    }

    fn end_run(writer: &mut Writer, run: &mut u32) {
        if *run > 0 {
            let length = category(*run as i32) - 1;
            writer.symbol((length as u8) << 4);
            writer.plain(*run - (1 << length), length);
            *run = 0;
        }
    }

    /// The point transform of AC: towards zero.
    fn shifted(coefficient: i16, low: u8) -> i32 {
        i32::from(coefficient) / (1 << low)
    }

    /// A band of coefficients, none known before.
    fn first(writer: &mut Writer, block: &Block, (start, end, _, low): Band, run: &mut u32, has_runs: bool) {
        let mut zeros = 0;
        for &coefficient in block.get(start.into()..=end.into()).unwrap_or_default() {
            let value = shifted(coefficient, low);
            if value == 0 {
                zeros += 1;
                continue;
            }
            end_run(writer, run);
            while zeros > 15 {
                writer.symbol(0xF0);
                zeros -= 16;
            }
            writer.symbol(zeros << 4 | category(value) as u8);
            writer.value(value);
            zeros = 0;
        }
        if zeros > 0 {
            *run += 1;
            if !has_runs || *run == 32767 {
                end_run(writer, run);
            }
        }
    }

    /// One more bit of a band, with an end of band in every block that needs one.
    fn refine(writer: &mut Writer, block: &Block, (start, end, high, low): Band) {
        let band = &block[start.into()..=end.into()];
        let is_new = |&coefficient: &i16| shifted(coefficient, low) != 0 && shifted(coefficient, high) == 0;
        let correct = |writer: &mut Writer, known: &mut Vec<i16>| {
            known.drain(..).for_each(|known| writer.plain(shifted(known, low).unsigned_abs() & 1, 1));
        };
        let last = band.iter().rposition(is_new);
        let (mut zeros, mut known) = (0, Vec::new());
        for (k, coefficient) in band.iter().enumerate() {
            if shifted(*coefficient, high) != 0 {
                known.push(*coefficient);
                continue;
            }
            if is_new(coefficient) {
                writer.symbol(zeros << 4 | 1);
                writer.plain(u32::from(*coefficient > 0), 1);
                correct(writer, &mut known);
                zeros = 0;
            } else if zeros == 15 && last.is_some_and(|last| k < last) {
                writer.symbol(0xF0);
                correct(writer, &mut known);
                zeros = 0;
            } else {
                zeros = (zeros + 1).min(15);
            }
        }
        if last.is_none_or(|last| last + 1 < band.len()) {
            writer.symbol(0);
        }
        correct(writer, &mut known);
    }

    const SEQUENTIAL: &[Band] = &[(0, 63, 0, 0)];
    const SPECTRAL: &[Band] = &[(0, 0, 0, 0), (1, 5, 0, 0), (6, 63, 0, 0)];
    const FULL: &[Band] =
        &[(0, 0, 0, 2), (1, 5, 0, 2), (6, 63, 0, 1), (1, 5, 2, 1), (0, 0, 2, 1), (1, 63, 1, 0), (0, 0, 1, 0)];

    fn images() -> impl Strategy<Value = Image> {
        let coefficients = prop::collection::vec((0usize..64, -700i16..700), 0..90);
        let shape = (1u16..20, 1u16..30, prop::sample::select(vec![8u8, 12]), 0u16..4, 1u8..9);
        (shape, prop::collection::vec(coefficients, 12)).prop_map(
            |((rows, columns, precision, restart, step), values)| {
                let count = usize::from(rows.div_ceil(8) * columns.div_ceil(8));
                let mut blocks = vec![[0; 64]; count];
                for (block, values) in blocks.iter_mut().zip(values) {
                    // Most coefficients are small, and many blocks have none at high frequencies.
                    values.iter().for_each(|&(k, value)| block[k] = value / (1 + k as i16 * k as i16));
                    values.iter().skip(60).for_each(|&(k, value)| block[k] = value % 4);
                }
                let steps = std::array::from_fn(|k| step + k as u8 / 4);
                Image { rows, columns, precision, steps, restart, blocks }
            },
        )
    }

    fn plain(image: &Image, row: usize, column: usize) -> u16 {
        let steps = image.steps.map(u16::from);
        let most = if image.precision == 8 { 255 } else { 4095 };
        let block = image.blocks[row / 8 * usize::from(image.columns.div_ceil(8)) + column / 8];
        Idct::new(&steps, image.precision.into(), most).block_samples(&block)[row % 8][column % 8]
    }

    proptest! {
        #[test]
        fn every_process_gives_the_samples_of_the_coefficients(image in images()) {
            let format = format(image.rows.into(), image.columns.into(), image.precision.into());
            let columns = usize::from(image.columns);
            let samples = (0..format.pixels()).map(|at| plain(&image, at / columns, at % columns)).collect();
            let expected = Ok(Cells::Narrow(samples));
            for (marker, scans) in [(0xC1, SEQUENTIAL), (0xC2, SPECTRAL), (0xC2, FULL)] {
                prop_assert_eq!(&decode(&image.encode(marker, scans), &format), &expected, "{:?}", scans);
            }
        }

        #[test]
        fn damaged_bytes_give_cells_or_a_fault(
            image in images(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            from_end: bool, cut: prop::sample::Index,
        ) {
            let format = format(image.rows.into(), image.columns.into(), image.precision.into());
            for (marker, scans) in [(0xC0, SEQUENTIAL), (0xC2, FULL)] {
                let mut bytes = image.encode(marker, scans);
                let _ = decode(&bytes[..cut.index(bytes.len())], &format);
                // Half of the changes are in the scans alone.
                let first = if from_end { 700.min(bytes.len() - 1) } else { 0 };
                for (at, value) in &changes {
                    let at = first + at.index(bytes.len() - first);
                    bytes[at] = *value;
                }
                if let Ok(Cells::Narrow(cells)) = decode(&bytes, &format) {
                    prop_assert_eq!(cells.len(), format.pixels());
                }
            }
        }
    }

    /// 8x8 samples of 100, written by libjpeg.
    #[rustfmt::skip]
    const FLAT: [u8; 160] = [
        255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0,
        255, 219, 0, 67, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 255, 192, 0, 11, 8, 0, 8, 0, 8, 1, 1,
        17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 8, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 15, 191, 255, 217,
    ];

    /// Written by libjpeg-turbo 3.2.0 through Pillow:
    ///
    /// ```text
    /// y, x = numpy.mgrid[0:9, 0:10]
    /// a = (20 * x + 9 * y + (x * y % 5) * 8).clip(0, 255).astype("u1")
    /// PIL.Image.fromarray(a).save(file, "JPEG", quality=90, progressive=True)
    /// ```
    #[rustfmt::skip]
    const PROGRESSIVE: [u8; 357] = [
        255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 3, 2,
        2, 3, 2, 2, 3, 3, 3, 3, 4, 3, 3, 4, 5, 8, 5, 5, 4, 4, 5, 10, 7, 7, 6, 8, 12, 10, 12, 12, 11, 10, 11,
        11, 13, 14, 18, 16, 13, 14, 17, 14, 11, 11, 16, 22, 16, 17, 19, 20, 21, 21, 21, 12, 15, 23, 24, 22,
        20, 24, 18, 20, 21, 20, 255, 194, 0, 11, 8, 0, 9, 0, 10, 1, 1, 17, 0, 255, 196, 0, 22, 0, 1, 1, 1,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 5, 7, 255, 218, 0, 8, 1, 1, 0, 0, 0, 1, 148, 148, 201, 80,
        159, 255, 196, 0, 27, 16, 0, 1, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 2, 6, 17, 34, 50,
        255, 218, 0, 8, 1, 1, 0, 1, 5, 2, 168, 138, 108, 64, 110, 149, 46, 23, 255, 196, 0, 28, 16, 0, 1, 3,
        5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 35, 16, 49, 65, 97, 240, 255, 218, 0, 8, 1, 1, 0, 6,
        63, 2, 102, 49, 48, 166, 218, 25, 236, 83, 255, 196, 0, 25, 16, 1, 1, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 17, 1, 0, 16, 65, 49, 255, 218, 0, 8, 1, 1, 0, 1, 63, 33, 238, 242, 156, 141, 166, 24,
        0, 246, 109, 191, 255, 218, 0, 8, 1, 1, 0, 0, 0, 16, 191, 255, 196, 0, 29, 16, 1, 0, 1, 3, 5, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 17, 33, 49, 81, 0, 16, 65, 113, 240, 255, 218, 0, 8, 1, 1, 0, 1, 63,
        16, 121, 13, 19, 111, 36, 82, 101, 22, 113, 108, 220, 4, 145, 2, 149, 167, 58, 242, 235, 183, 255,
        217,
    ];

    /// The samples that it reads there itself.
    #[rustfmt::skip]
    const SAMPLES: [u16; 90] = [
        1, 15, 42, 57, 87, 99, 117, 141, 162, 180, 7, 46, 60, 93, 117, 109, 140, 165, 191, 216, 18, 52, 93,
        92, 123, 116, 150, 189, 193, 218, 26, 76, 77, 107, 122, 140, 170, 178, 213, 228, 38, 83, 103, 116,
        123, 130, 187, 197, 213, 226, 48, 64, 81, 114, 117, 148, 164, 188, 206, 224, 49, 85, 110, 139, 168,
        150, 187, 205, 235, 255, 65, 100, 132, 131, 165, 165, 193, 240, 234, 253, 72, 116, 122, 162, 169,
        172, 215, 221, 255, 255,
    ];

    #[test]
    fn a_progressive_frame_of_libjpeg_is_as_it_reads_it() {
        assert_eq!(decode(&PROGRESSIVE, &format(9, 10, 8)), Ok(Cells::Narrow(SAMPLES.to_vec())));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_of_a_progressive_frame_is_cells_or_a_fault() {
        for at in 0..PROGRESSIVE.len() {
            assert!(decode(&PROGRESSIVE[..at], &format(9, 10, 8)).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bytes = PROGRESSIVE;
                bytes[at] ^= 1 << bit;
                let _ = decode(&bytes, &format(9, 10, 8));
            }
        }
    }

    #[test]
    fn a_flat_frame_is_flat() {
        assert_eq!(decode(&FLAT, &format(8, 8, 8)), Ok(Cells::Narrow(vec![100; 64])));
    }

    #[test]
    fn a_smaller_frame_is_a_mismatch_not_zeros() {
        let fault = |bytes: &[u8], rows| decode(bytes, &format(rows, 8, 8)).expect_err("damaged").reason;
        assert_eq!(fault(&FLAT, 16), Reason::CodestreamMismatch);
        assert_eq!(fault(&FLAT[..120], 8), Reason::DecodeFailed);
        assert_eq!(fault(&FLAT[..156], 8), Reason::DecodeFailed);
    }

    #[test]
    fn another_process_is_a_mismatch_with_its_name() {
        for (marker, name) in [(0xC9, "arithmetic"), (0xCA, "arithmetic"), (0xC3, "not a"), (0xC5, "not a")] {
            let mut bytes = FLAT;
            bytes[90] = marker;
            let fault = decode(&bytes, &format(8, 8, 8)).expect_err("another process");
            assert_eq!(fault.reason, Reason::CodestreamMismatch);
            assert!(fault.to_string().contains(name), "{fault}");
        }
    }

    fn small() -> Image {
        Image { rows: 8, columns: 8, precision: 12, steps: [1; 64], restart: 0, blocks: vec![[3; 64]] }
    }

    #[test]
    fn a_progressive_frame_cut_between_scans_is_not_a_blurred_image() {
        let bytes = small().encode(0xC2, FULL);
        let second = bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).expect("the last scan");
        assert_eq!(decode(&bytes[..second], &format(8, 8, 12)).expect_err("cut").reason, Reason::DecodeFailed);
    }

    #[test]
    fn scans_out_of_order_are_a_fault() {
        let orders: [&[Band]; 5] = [
            &[(0, 0, 0, 0), (0, 0, 0, 0)],
            &[(1, 63, 0, 0)],
            &[(0, 0, 2, 1)],
            &[(0, 0, 0, 0), (5, 2, 0, 0)],
            &[(0, 0, 0, 14)],
        ];
        for scans in orders {
            let fault = decode(&small().encode(0xC2, scans), &format(8, 8, 12)).expect_err("out of order");
            assert_eq!(fault.reason, Reason::DecodeFailed, "{scans:?}");
        }
    }

    #[test]
    fn the_band_of_a_sequential_scan_is_passed_over() {
        let image = small();
        let expected = decode(&image.encode(0xC1, SEQUENTIAL), &format(8, 8, 12));
        assert!(expected.is_ok());
        assert_eq!(decode(&image.encode(0xC1, &[(0, 0, 0, 0)]), &format(8, 8, 12)), expected);
    }

    #[test]
    fn ringing_above_bits_stored_does_not_wrap() {
        let mut image = small();
        image.blocks[0] = [0; 64];
        // 2048 - 8000 / 8 = 1048
        image.blocks[0][0] = -8000;
        let bytes = image.encode(0xC1, SEQUENTIAL);
        assert_eq!(decode(&bytes, &format(8, 8, 12)), Ok(Cells::Narrow(vec![1048; 64])));
        assert_eq!(decode(&bytes, &format(8, 8, 10)), Ok(Cells::Narrow(vec![1023; 64])));
    }
}
