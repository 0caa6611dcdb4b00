//! JPEG XL, decoded by `jxl` without its SIMD code: what it computes is then the same on every CPU.
//!
//! # Source
//! ISO/IEC 18181-1 (codestream), 18181-2 (boxes `jxlc` and `jxlp` around it); PS3.5 section 8.2.15.

use jxl::api::{
    Endianness, Event, JxlBasicInfo, JxlBitDepth, JxlColorType, JxlDataFormat, JxlDecoder, JxlDecoderOptions,
    JxlOutputBuffer, JxlPixelFormat, Orientation, ProfileLevel,
};

use super::codestream::{Claim, failed};
use super::format::{Cells, Format};
use crate::reason::{Fault, Reason};

/// Cells of one frame: its samples, which have no sign; the bits of signed pixels where the encoder was
/// given those.
///
/// # Errors
/// Reason `codestream_mismatch` where the image header does not agree with the data set,
/// `pixel_format` for floating point, more than 16 bits or colour profiles that only a colour management
/// system can turn into samples, `decode_failed` where the codestream is damaged.
pub(crate) fn decode(mut frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let mut decoder = JxlDecoder::new(options(format));
    let mut next = |decoder: &mut JxlDecoder, output: Option<&mut [JxlOutputBuffer<'_>]>| {
        decoder.process(&mut frame, output, None).map_err(|_| failed("the JPEG XL decoder gave up"))
    };
    expect(next(&mut decoder, None)?, Event::BasicInfo)?;
    let bits = check_header(&decoder, format)?;
    let samples = JxlDataFormat::U16 { endianness: Endianness::LittleEndian, bit_depth: bits };
    let pixel_format = JxlPixelFormat {
        color_type: JxlColorType::Grayscale,
        color_data_format: Some(samples),
        extra_channel_format: Vec::new(),
    };
    decoder.set_pixel_format(pixel_format).map_err(|_| failed("the JPEG XL decoder gave up"))?;
    check_profile(&decoder)?;
    expect(next(&mut decoder, None)?, Event::FrameHeader)?;
    let (rows, row_bytes) = (format.rows as usize, 2 * format.columns as usize);
    let mut bytes = vec![0; rows * row_bytes];
    let mut output = [JxlOutputBuffer::new(&mut bytes, rows, row_bytes)];
    expect(next(&mut decoder, Some(&mut output))?, Event::FrameComplete { has_more_frames: false })?;
    expect(next(&mut decoder, None)?, Event::Complete)?;
    Ok(Cells::Narrow(bytes.as_chunks().0.iter().map(|&cell| u16::from_le_bytes(cell)).collect()))
}

fn options(format: &Format) -> JxlDecoderOptions {
    let mut options = JxlDecoderOptions::default();
    options.adjust_orientation = false;
    options.high_precision = true;
    options.max_profile_level = ProfileLevel::Main10;
    // The decoder counts three channels, and 16 columns at least; frames that others refer to may have
    // another shape.
    let side = |side: u32| side.next_multiple_of(16) as usize;
    options.sample_limit = Some(4 * side(format.rows) * side(format.columns));
    options
}

fn expect(found: Event, expected: Event) -> Result<(), Fault> {
    match found {
        found if found == expected => Ok(()),
        Event::NeedMoreInput { .. } => Err(failed("the JPEG XL codestream is cut")),
        _ => Err(failed("the JPEG XL image is not one whole frame")),
    }
}

/// Checks the image header; gives the bits per sample.
fn check_header(decoder: &JxlDecoder, format: &Format) -> Result<u8, Fault> {
    let info = decoder.basic_info().ok_or_else(|| failed("no JPEG XL image header"))?;
    let JxlBasicInfo { size: (columns, rows), bit_depth, orientation, extra_channels, animation, .. } = info;
    let JxlBitDepth::Int { bits_per_sample: bits } = *bit_depth else {
        return Err(Fault::new(Reason::PixelFormat, "JPEG XL samples are floating point"));
    };
    let is_grey = decoder.current_pixel_format().is_some_and(|pixel| pixel.color_type.is_grayscale());
    let components = if is_grey { 1 } else { 3 } + extra_channels.len();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let components = u32::try_from(components).unwrap_or(u32::MAX);
    Claim { columns: side(*columns), rows: side(*rows), components, precision: bits }.check(format)?;
    if *orientation != Orientation::Identity || animation.is_some() {
        return Err(failed("the JPEG XL image is turned or animated"));
    }
    match u8::try_from(bits) {
        Ok(bits @ 1..=16) => Ok(bits),
        _ => Err(Fault::new(Reason::PixelFormat, format!("JPEG XL samples have {bits} bits, expected 1 to 16"))),
    }
}

/// Whether the samples come out as they went in: of a frame in XYB and with an ICC profile they would need
/// colour management, and come out as sRGB instead.
fn check_profile(decoder: &JxlDecoder) -> Result<(), Fault> {
    let embedded = decoder.embedded_color_profile();
    if embedded.is_some() && embedded == decoder.output_color_profile() {
        return Ok(());
    }
    Err(Fault::new(Reason::PixelFormat, "JPEG XL samples in XYB with a profile that only colour management can undo"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::jpeg_dct;
    use super::*;
    use crate::slice::Pixels;

    // 16x16 samples, written by libjxl 0.11: lossless, of 12 bits `(17 * row * column + 3 * column) % 4096`;
    // of 16 bits 1000 * (column - 8) + 3000 * (row - 8) in two's complement, in a container of level 10;
    // lossy, of 12 bits 100 * (row + column); a JPEG and the JPEG XL made of it, whose container has the
    // codestream in two parts; 2x2 of floating point; 4x4 of colour.

    #[rustfmt::skip]
    const LOSSLESS_12: [u8; 211] = [
        255, 10, 67, 96, 80, 180, 8, 8, 4, 1, 0, 24, 3, 75, 56, 65, 217, 141, 151, 52, 201, 133, 239, 87,
        144, 24, 95, 33, 33, 161, 164, 170, 22, 205, 88, 16, 198, 24, 99, 12, 99, 48, 45, 196, 41, 6, 39, 98,
        24, 139, 117, 49, 152, 199, 232, 24, 198, 64, 100, 84, 108, 84, 84, 100, 244, 168, 81, 85, 121, 116, 176, 82,
        104, 213, 238, 42, 42, 234, 50, 25, 36, 245, 77, 117, 102, 152, 74, 143, 105, 73, 255, 18, 84, 17, 104, 98,
        2, 102, 26, 30, 249, 6, 99, 73, 52, 180, 101, 70, 80, 96, 199, 68, 233, 4, 96, 212, 226, 86, 18, 182,
        92, 101, 211, 79, 20, 21, 78, 49, 70, 64, 190, 150, 73, 173, 56, 174, 74, 119, 170, 86, 2, 103, 106, 71,
        71, 211, 161, 160, 178, 210, 246, 21, 82, 171, 229, 202, 48, 125, 7, 158, 35, 103, 143, 152, 40, 35, 79, 177,
        133, 149, 144, 63, 171, 145, 161, 143, 140, 131, 131, 109, 110, 59, 119, 92, 58, 124, 91, 5, 165, 149, 74, 191,
        190, 130, 173, 103, 175, 254, 212, 110, 114, 83, 245, 193, 182, 99, 170, 1, 249, 198, 234,
    ];

    #[rustfmt::skip]
    const LOSSLESS_16: [u8; 119] = [
        0, 0, 0, 12, 74, 88, 76, 32, 13, 10, 135, 10, 0, 0, 0, 20, 102, 116, 121, 112, 106, 120, 108, 32,
        0, 0, 0, 0, 106, 120, 108, 32, 0, 0, 0, 9, 106, 120, 108, 108, 10, 0, 0, 0, 78, 106, 120, 108,
        99, 255, 10, 67, 240, 3, 20, 45, 2, 8, 4, 1, 0, 224, 0, 75, 56, 106, 24, 210, 219, 251, 43, 40,
        4, 200, 10, 222, 89, 221, 182, 71, 193, 178, 82, 44, 130, 209, 151, 86, 199, 63, 248, 124, 0, 195, 133, 238,
        197, 131, 251, 104, 200, 23, 60, 132, 158, 90, 66, 203, 178, 13, 22, 56, 20, 242, 17, 45, 78, 114, 46,
    ];

    #[rustfmt::skip]
    const LOSSY_12: [u8; 177] = [
        255, 10, 67, 96, 82, 180, 8, 0, 19, 8, 0, 144, 2, 255, 255, 170, 2, 0, 80, 161, 50, 202, 184, 193,
        203, 185, 158, 47, 63, 116, 88, 76, 219, 184, 206, 208, 86, 219, 22, 150, 36, 138, 140, 99, 147, 116, 2, 135,
        36, 177, 32, 50, 111, 128, 0, 8, 0, 0, 226, 112, 230, 241, 57, 76, 19, 7, 120, 128, 138, 160, 66, 10,
        172, 0, 162, 163, 163, 99, 140, 141, 141, 116, 99, 27, 41, 41, 198, 200, 168, 216, 24, 197, 45, 255, 31, 242,
        51, 212, 251, 249, 110, 134, 231, 181, 198, 115, 187, 35, 213, 117, 25, 217, 118, 134, 200, 63, 179, 198, 156, 44,
        59, 10, 181, 187, 0, 136, 7, 155, 209, 169, 17, 201, 59, 200, 37, 127, 38, 9, 52, 115, 198, 79, 153, 210,
        122, 112, 112, 86, 98, 234, 170, 100, 154, 59, 137, 160, 211, 224, 87, 167, 128, 243, 146, 211, 154, 236, 253, 87,
        20, 142, 106, 151, 91, 208, 56, 96, 6,
    ];

    #[rustfmt::skip]
    const JPEG: [u8; 202] = [
        255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67,
        0, 3, 2, 2, 3, 2, 2, 3, 3, 3, 3, 4, 3, 3, 4, 5, 8, 5, 5, 4, 4, 5, 10, 7,
        7, 6, 8, 12, 10, 12, 12, 11, 10, 11, 11, 13, 14, 18, 16, 13, 14, 17, 14, 11, 11, 16, 22, 16,
        17, 19, 20, 21, 21, 21, 12, 15, 23, 24, 22, 20, 24, 18, 20, 21, 20, 255, 192, 0, 11, 8, 0, 16,
        0, 16, 1, 1, 17, 0, 255, 196, 0, 21, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 8, 5, 255, 196, 0, 28, 16, 0, 0, 6, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 6, 7, 36, 52, 67, 82, 98, 114, 255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 1, 167, 228,
        153, 143, 112, 171, 173, 130, 213, 63, 36, 204, 123, 133, 93, 108, 37, 39, 228, 153, 143, 112, 171, 173, 130, 213,
        63, 36, 204, 123, 133, 93, 108, 63, 255, 217,
    ];

    #[rustfmt::skip]
    const JPEG_IN_JPEG_XL: [u8; 340] = [
        0, 0, 0, 12, 74, 88, 76, 32, 13, 10, 135, 10, 0, 0, 0, 20, 102, 116, 121, 112, 106, 120, 108, 32,
        0, 0, 0, 0, 106, 120, 108, 32, 0, 0, 0, 19, 106, 120, 108, 112, 0, 0, 0, 0, 255, 10, 67, 64,
        80, 220, 8, 0, 0, 0, 67, 106, 98, 114, 100, 193, 13, 32, 8, 45, 3, 2, 0, 132, 128, 36, 0, 0,
        0, 64, 168, 255, 19, 144, 10, 0, 0, 0, 178, 31, 121, 102, 161, 163, 14, 59, 238, 127, 128, 31, 0, 0,
        0, 11, 8, 128, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 3, 0, 0,
        0, 222, 106, 120, 108, 112, 128, 0, 0, 1, 224, 91, 0, 16, 0, 44, 3, 12, 100, 12, 100, 12, 100, 254,
        255, 14, 0, 0, 24, 0, 8, 0, 1, 0, 0, 0, 0, 0, 128, 128, 37, 137, 34, 227, 216, 9, 105, 238,
        48, 0, 33, 5, 54, 132, 8, 139, 8, 57, 54, 42, 198, 224, 153, 145, 140, 30, 141, 1, 64, 24, 197, 13,
        181, 208, 96, 0, 0, 192, 51, 38, 89, 1, 208, 10, 2, 0, 224, 4, 16, 243, 225, 98, 8, 192, 56, 120,
        100, 57, 234, 33, 235, 237, 156, 219, 60, 193, 125, 111, 248, 27, 15, 173, 35, 44, 171, 249, 132, 148, 158, 123,
        19, 213, 28, 233, 210, 243, 181, 51, 182, 192, 216, 128, 253, 171, 8, 113, 40, 26, 78, 157, 204, 251, 17, 214,
        73, 169, 1, 6, 144, 1, 148, 241, 227, 245, 97, 16, 89, 14, 49, 71, 158, 10, 170, 15, 0, 0, 0, 0,
        0, 160, 144, 2, 153, 142, 49, 186, 49, 182, 49, 6, 135, 99, 112, 180, 2, 241, 77, 177, 251, 193, 117, 2,
        140, 184, 27, 151, 55, 184, 239, 124, 26, 161, 187, 105, 255, 251, 129, 20, 50, 131, 132, 172, 179, 249, 167, 47,
        10, 10, 160, 25,
    ];

    #[rustfmt::skip]
    const FLOAT: [u8; 84] = [
        0, 0, 0, 12, 74, 88, 76, 32, 13, 10, 135, 10, 0, 0, 0, 20, 102, 116, 121, 112, 106, 120, 108, 32,
        0, 0, 0, 0, 106, 120, 108, 32, 0, 0, 0, 9, 106, 120, 108, 108, 10, 0, 0, 0, 43, 106, 120, 108,
        99, 255, 10, 8, 16, 114, 64, 209, 34, 8, 4, 1, 0, 84, 0, 75, 24, 139, 21, 66, 250, 252, 29, 76,
        0, 0, 0, 246, 255, 255, 179, 27, 0, 18, 112, 1,
    ];

    #[rustfmt::skip]
    const COLOUR: [u8; 27] = [
        255, 10, 24, 16, 16, 9, 8, 4, 1, 0, 60, 0, 75, 24, 139, 21, 142, 134, 194, 3, 224, 128, 0, 0,
        0, 0, 0,
    ];

    fn at(value: impl Fn(i32, i32) -> i32) -> Vec<u16> {
        (0..16)
            .flat_map(|row| (0..16).map(move |column| (row, column)))
            .map(|(row, column)| value(row, column) as u16)
            .collect()
    }

    fn twelve(row: i32, column: i32) -> i32 {
        (17 * row * column + 3 * column) % 4096
    }

    fn narrow(frame: &[u8], format: &Format) -> Vec<u16> {
        match decode(frame, format) {
            Ok(Cells::Narrow(cells)) => cells,
            other => panic!("{other:?}"),
        }
    }

    fn reason(frame: &[u8], format: &Format) -> Reason {
        decode(frame, format).expect_err("no cells").reason
    }

    fn boxed(boxes: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl ".to_vec();
        for (kind, content) in boxes {
            bytes.extend((8 + content.len() as u32).to_be_bytes());
            bytes.extend([&kind[..], content].concat());
        }
        bytes
    }

    #[test]
    fn lossless_samples_are_exact() {
        assert_eq!(narrow(&LOSSLESS_12, &Format::unsigned(16, 16, 12)), at(twelve));
        let signed = |row, column| 1000 * (column - 8) + 3000 * (row - 8);
        let format = Format { is_signed: true, ..Format::unsigned(16, 16, 16) };
        let cells = narrow(&LOSSLESS_16, &format);
        assert_eq!(cells, at(signed));
        let Ok(Pixels::I16(values)) = Cells::Narrow(cells).stored(&format) else { panic!("signed values") };
        assert_eq!((values[[0, 0, 0]], values[[0, 15, 15]]), (-32000, 28000));
    }

    #[test]
    fn lossy_samples_are_what_libjxl_makes_of_them() {
        let cells = narrow(&LOSSY_12, &Format::unsigned(16, 16, 12));
        let libjxl = [501, 999, 1503, 1007, 1498, 2008, 2002, 2499, 3007];
        let places = [5, 10, 15, 85, 90, 95, 170, 175, 255];
        for (place, expected) in places.into_iter().zip(libjxl) {
            assert!(i32::from(cells[place]).abs_diff(expected) <= 1, "{place}: {}, libjxl {expected}", cells[place]);
        }
        // The same bytes on every CPU: no SIMD, no FMA.
        assert_eq!(
            blake3::hash(&cells.iter().flat_map(|cell| cell.to_le_bytes()).collect::<Vec<_>>()).to_hex().as_str(),
            "6d908e04155bf8e58dced1b58f5e6837b0d1945f77809d2fcd6fe5f745176b4e"
        );
    }

    #[test]
    fn a_recompressed_jpeg_is_the_jpeg() {
        let format = Format::unsigned(16, 16, 8);
        let Ok(Cells::Narrow(jpeg)) = jpeg_dct::decode(&JPEG, &format) else { panic!("the JPEG decodes") };
        let most = narrow(&JPEG_IN_JPEG_XL, &format).iter().zip(&jpeg).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(most <= Some(1), "{most:?}");
    }

    #[test]
    fn boxes_around_the_codestream_and_its_parts_are_read() {
        let format = Format::unsigned(16, 16, 12);
        let (a, b) = LOSSLESS_12.split_at(50);
        let (first, last) = ([&[0, 0, 0, 0], a].concat(), [&[0x80, 0, 0, 1], b].concat());
        for frame in [
            boxed(&[(b"jxlc", &LOSSLESS_12)]),
            boxed(&[(b"xml ", b"<a/>"), (b"jxlc", &LOSSLESS_12)]),
            boxed(&[(b"jxlp", &first), (b"jxlp", &last)]),
            boxed(&[(b"jxlp", &first), (b"Exif", &[0; 9]), (b"jxlp", &last)]),
        ] {
            assert_eq!(narrow(&frame, &format), at(twelve));
            assert_eq!(narrow(&[&frame[..], &[0]].concat(), &format), at(twelve), "a byte of padding");
        }
        assert_eq!(reason(&boxed(&[(b"jxlp", &first)]), &format), Reason::DecodeFailed);
        assert_eq!(reason(&boxed(&[(b"jxlp", &last), (b"jxlp", &first)]), &format), Reason::DecodeFailed);
    }

    #[test]
    fn another_image_than_the_data_set_says_is_refused() {
        for format in [Format::unsigned(16, 15, 12), Format::unsigned(1, 256, 12), Format::unsigned(16, 16, 13)] {
            assert_eq!(reason(&LOSSLESS_12, &format), Reason::CodestreamMismatch);
        }
        assert_eq!(reason(&COLOUR, &Format::unsigned(4, 4, 8)), Reason::CodestreamMismatch);
        assert_eq!(reason(&FLOAT, &Format::unsigned(2, 2, 16)), Reason::PixelFormat);
    }

    #[test]
    fn a_cut_codestream_is_a_fault() {
        for frame in [&LOSSLESS_12[..], &LOSSY_12, &JPEG_IN_JPEG_XL] {
            let bits = if frame.len() == JPEG_IN_JPEG_XL.len() { 8 } else { 12 };
            for end in 0..frame.len() {
                assert_eq!(reason(&frame[..end], &Format::unsigned(16, 16, bits)), Reason::DecodeFailed, "{end}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn changed_bytes_give_cells_or_a_fault(which in 0usize..4, changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..5)) {
            let (frame, bits) = [(&LOSSLESS_12[..], 12), (&LOSSY_12, 12), (&JPEG_IN_JPEG_XL, 8), (&LOSSLESS_16, 16)][which];
            let mut frame = frame.to_vec();
            for (at, byte) in changes {
                let at = usize::from(at) % frame.len();
                frame[at] = byte;
            }
            if let Ok(Cells::Narrow(cells)) = decode(&frame, &Format::unsigned(16, 16, bits)) {
                prop_assert_eq!(cells.len(), 256);
                prop_assert!(cells.iter().all(|&cell| u32::from(cell) < 1 << bits));
            }
        }
    }
}
