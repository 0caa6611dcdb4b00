//! JPEG lossless, Huffman coded: all seven predictors, 2 to 16 bits, one component.
//!
//! # Source
//! T.81 annex H (prediction, coding of differences), annex C and F.2.2 (Huffman tables).

use super::codestream::{Claim, failed};
use super::entropy_bits::{Bits, Stuffing};
use super::format::{Cells, Format};
use super::huffman::{Huffman, Tables, Values};
use super::markers::{self, Segments};
use crate::reason::{Fault, Reason};

/// Differences of one refill of the window.
const AT_ONCE: usize = 4;

/// The next difference (T.81 H.1.2.2).
#[inline(always)]
fn difference(bits: &mut Bits<'_>, table: &Values<'_>) -> Result<i32, Fault> {
    match bits.symbol_and_value(table) {
        Some((_, value)) => Ok(value.into()),
        None => {
            let difference = long_difference(bits, table.codes())?;
            bits.refill();
            Ok(difference)
        }
    }
}

/// One that is not in the table at once.
#[inline(always)]
fn long_difference(bits: &mut Bits<'_>, table: &Huffman) -> Result<i32, Fault> {
    Ok(match bits.symbol(table)? {
        0 => 0,
        16 => 1 << 15,
        category => bits.value(category.into()),
    })
}

/// A codestream up to its entropy-coded data.
struct Scan<'a> {
    table: Huffman,
    predictor: u8,
    point_transform: u32,
    precision: u32,
    /// Rows from restart to restart; 0: no restarts.
    restart_rows: usize,
    data: &'a [u8],
}

/// Cells of one frame.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set,
/// `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let scan = read_header(frame, format)?;
    let columns = format.columns as usize;
    let mut cells = vec![0u16; format.pixels()];
    let table = scan.table.differences();
    let mut bits = Bits::new(scan.data, Stuffing::Byte);
    let mut above: &[u16] = &[];
    for (row, line) in cells.chunks_exact_mut(columns).enumerate() {
        if scan.restart_rows > 0 && row > 0 && row % scan.restart_rows == 0 {
            bits.restart()?;
            above = &[];
        }
        scan.line(&mut bits, &table, above, line)?;
        bits.check_not_over()?;
        above = line;
    }
    cells.iter_mut().for_each(|cell| *cell <<= scan.point_transform);
    Ok(Cells::Narrow(cells))
}

fn read_header<'a>(frame: &'a [u8], format: &Format) -> Result<Scan<'a>, Fault> {
    let mut segments = Segments::of(frame)?;
    let mut tables = Tables::default();
    let mut claim: Option<Claim> = None;
    let mut restart = 0;
    loop {
        let (marker, body) = segments.next()?;
        match (marker, body) {
            (markers::SOF3, body) => {
                let found = markers::claim(body)?;
                found.check(format)?;
                claim = Some(found);
            }
            (marker, _) if markers::is_frame(marker) => {
                return Err(Fault::new(Reason::CodestreamMismatch, "the JPEG process is not lossless"));
            }
            (markers::DHT, body) => tables.read(body)?,
            (markers::DRI, &[a, b, ..]) => restart = usize::from(u16::from_be_bytes([a, b])),
            (markers::SOS, &[1, _, table, predictor @ 1..=7, _, point_transform, ..]) => {
                let claim = claim.ok_or_else(|| failed("a scan before its frame"))?;
                let table = tables.dc(table >> 4)?;
                if table.symbols().iter().any(|&symbol| symbol > 16) {
                    return Err(failed("a Huffman table has a category above 16"));
                }
                let columns = format.columns as usize;
                if restart % columns != 0 || !(2..=16).contains(&claim.precision) || point_transform >= 16 {
                    return Err(failed("restart interval, precision or point transform is impossible"));
                }
                return Ok(Scan {
                    table: table.clone(),
                    predictor,
                    point_transform: u32::from(point_transform & 15),
                    precision: claim.precision,
                    restart_rows: restart / columns,
                    data: segments.rest(),
                });
            }
            (markers::SOS, _) => return Err(failed("a scan header that is not lossless")),
            _ => {}
        }
    }
}

impl Scan<'_> {
    /// One row; `above` is empty in the first row and after a restart.
    fn line(&self, bits: &mut Bits<'_>, table: &Values<'_>, above: &[u16], line: &mut [u16]) -> Result<(), Fault> {
        let first = match above.first() {
            Some(&above) => i32::from(above),
            None => 1 << (self.precision.saturating_sub(self.point_transform + 1)),
        };
        let Some(start) = line.first_mut() else { return Ok(()) };
        bits.refill();
        *start = (first + difference(bits, table)?) as u16;
        if above.is_empty() {
            return along(bits, table, line);
        }
        match self.predictor {
            1 => along(bits, table, line),
            2 => rest_of_line(bits, table, above, line, |_, b, _| b),
            3 => rest_of_line(bits, table, above, line, |_, _, c| c),
            4 => rest_of_line(bits, table, above, line, |a, b, c| a + b - c),
            5 => rest_of_line(bits, table, above, line, |a, b, c| a + ((b - c) >> 1)),
            6 => rest_of_line(bits, table, above, line, |a, b, c| b + ((a - c) >> 1)),
            _ => rest_of_line(bits, table, above, line, |a, b, _| (a + b) >> 1),
        }
    }
}

/// A row behind its first sample, each predicted from the one to the left.
fn along(bits: &mut Bits<'_>, table: &Values<'_>, line: &mut [u16]) -> Result<(), Fault> {
    let Some((&mut mut left, line)) = line.split_first_mut() else { return Ok(()) };
    for cells in line.chunks_mut(AT_ONCE) {
        bits.refill();
        for cell in cells {
            left = left.wrapping_add(difference(bits, table)? as u16);
            *cell = left;
        }
    }
    Ok(())
}

/// A row behind its first sample. `predict` takes the values to the left, above, and above left.
#[inline(always)]
fn rest_of_line(
    bits: &mut Bits<'_>,
    table: &Values<'_>,
    above: &[u16],
    line: &mut [u16],
    predict: impl Fn(i32, i32, i32) -> i32,
) -> Result<(), Fault> {
    let Some((&mut left, line)) = line.split_first_mut() else { return Ok(()) };
    let Some((&above_left, above)) = above.split_first() else { return Ok(()) };
    let (mut left, mut above_left) = (i32::from(left), i32::from(above_left));
    for (cells, above) in line.chunks_mut(AT_ONCE).zip(above.chunks(AT_ONCE)) {
        bits.refill();
        for (cell, &up) in cells.iter_mut().zip(above) {
            let up = i32::from(up);
            *cell = (predict(left, up, above_left) + difference(bits, table)?) as u16;
            (left, above_left) = (i32::from(*cell), up);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format(columns: usize, rows: usize) -> Format {
        Format::unsigned(rows as u32, columns as u32, 16)
    }

    /// Writes each difference as a category of 5 bits (17 codes, 0 to 16) and its bits.
    fn encode(cells: &[u16], columns: usize, predictor: u8, restart_rows: usize) -> Vec<u8> {
        let rows = cells.len() / columns;
        let at = |row: usize, column: usize| i32::from(cells[row * columns + column]);
        let mut out = vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 16];
        out.extend([(rows as u16).to_be_bytes(), (columns as u16).to_be_bytes()].concat());
        out.extend([1, 1, 0x11, 0]);
        out.extend([0xFF, 0xC4, 0, 2 + 17 + 17, 0]);
        out.extend([0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(0..17);
        out.extend([0xFF, 0xDD, 0, 4]);
        out.extend(((restart_rows * columns) as u16).to_be_bytes());
        out.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, predictor, 0, 0]);
        let mut bits = String::new();
        let flush = |bits: &mut String, out: &mut Vec<u8>| {
            while !bits.len().is_multiple_of(8) {
                bits.push('1');
            }
            for byte in bits.as_bytes().chunks(8) {
                let byte = u8::from_str_radix(std::str::from_utf8(byte).expect("ascii"), 2).expect("bits");
                out.push(byte);
                if byte == 0xFF {
                    out.push(0);
                }
            }
            bits.clear();
        };
        let mut marker = 0;
        for row in 0..rows {
            let is_first = row == 0 || (restart_rows > 0 && row % restart_rows == 0);
            if row > 0 && is_first {
                flush(&mut bits, &mut out);
                out.extend([0xFF, 0xD0 + marker % 8]);
                marker += 1;
            }
            for column in 0..columns {
                let prediction = match (is_first, column) {
                    (true, 0) => 1 << 15,
                    (true, _) => at(row, column - 1),
                    (false, 0) => at(row - 1, 0),
                    _ => {
                        let (a, b, c) = (at(row, column - 1), at(row - 1, column), at(row - 1, column - 1));
                        [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1]
                            [usize::from(predictor) - 1]
                    }
                };
                let difference = i32::from((at(row, column) - prediction) as i16);
                if difference == -32768 {
                    bits.push_str("10000");
                    continue;
                }
                let category = 32 - difference.unsigned_abs().leading_zeros();
                bits.push_str(&format!("{category:05b}"));
                if category > 0 {
                    let value = if difference < 0 { difference + (1 << category) - 1 } else { difference };
                    bits.push_str(&format!("{value:0width$b}", width = category as usize));
                }
            }
        }
        flush(&mut bits, &mut out);
        out.extend([0xFF, 0xD9]);
        out
    }

    proptest! {
        #[test]
        fn every_predictor_gives_the_cells_back(
            cells in prop::collection::vec(any::<u16>(), 12), predictor in 1u8..=7, restart in 0usize..=2,
        ) {
            let bytes = encode(&cells, 3, predictor, restart);
            prop_assert_eq!(decode(&bytes, &format(3, 4)), Ok(Cells::Narrow(cells)));
        }

        #[test]
        fn damaged_bytes_give_cells_or_a_fault(at in 0usize..100, value: u8) {
            let mut bytes = encode(&[7, 9, 300, 40000, 5, 6, 7, 8, 9, 1, 2, 3], 3, 4, 2);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = decode(&bytes, &format(3, 4));
            let _ = decode(bytes.get(..at).unwrap_or_default(), &format(3, 4));
        }
    }

    #[test]
    fn one_pixel_by_hand() {
        // Category 2 has the only code, "0"; the difference 3 is "11": 2^15 + 3.
        let bytes = [
            &[0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 16, 0, 1, 0, 1, 1, 1, 0x11, 0][..],
            &[0xFF, 0xC4, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            &[0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0, 0b0111_1111, 0xFF, 0xD9],
        ]
        .concat();
        assert_eq!(decode(&bytes, &format(1, 1)), Ok(Cells::Narrow(vec![32771])));
        assert_eq!(decode(&bytes, &format(2, 1)).expect_err("one column").reason, Reason::CodestreamMismatch);
        assert_eq!(decode(&bytes[..47], &format(1, 1)).expect_err("cut").reason, Reason::DecodeFailed);
    }
}
