//! Lies about pixels: form, length, frames, fragments.

use dcmshard::reason::Reason;
use dicom_dictionary_std::tags;

use super::codestreams::{BASELINE_UID, J2K_UID, LOSSLESS_UID, LS_UID, XL_UID, form, rle};
use super::draft::{Draft, Expected, ITEM, ITEM_END, RLE_UID, SEQUENCE_END, Table, element, items, lie};

pub fn cases() -> Table {
    let mut table = Table::default();
    lengths(&mut table);
    sides(&mut table);
    bits(&mut table);
    samples_and_frames(&mut table);
    fragments(&mut table);
    frames_of_fragments(&mut table);
    table
}

fn lengths(table: &mut Table) {
    for length in [0, 1, 2, 126, 127, 129, 130, 256] {
        table.plan(&format!("{length} bytes for 128"), Reason::PixelLength, |draft| draft.pixels(&vec![0; length]));
    }
    for length in [0xFFFF_FFFEu32, 0x8000_0000, 0xFFFF] {
        let name = format!("Pixel Data says {length}");
        table.plan(&name, Reason::PixelLength, |draft| draft.lie(tags::PIXEL_DATA, "OW", length, &[0; 128]));
    }
    let eight = |draft: Draft, length| draft.size(3, 3).bits(8, 8, 7).put(tags::PIXEL_DATA, "OB", &vec![1; length]);
    table.row("9 bytes for 9", |draft| eight(draft, 9));
    table.row("10 bytes for 9", |draft| eight(draft, 10));
    for length in [8, 11, 18] {
        table.plan(&format!("{length} bytes for 9"), Reason::PixelLength, |draft| eight(draft, length));
    }
    table.plan("fragments in an uncompressed syntax", Reason::MalformedHeader, |draft| {
        let syntax = draft.syntax;
        draft.frame(syntax, &[0; 128])
    });
    for syntax in [RLE_UID, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"] {
        let name = format!("a length in {syntax}");
        table.plan(&name, Reason::MalformedHeader, |draft| draft.labelled(syntax));
    }
    table.row("Pixel Data as UN", |draft| draft.put(tags::PIXEL_DATA, "UN", &[1; 128]));
}

fn sides(table: &mut Table) {
    for (keyword, tag) in [("Rows", tags::ROWS), ("Columns", tags::COLUMNS)] {
        for (value, reason) in [
            (0, Reason::ImageGeometry),
            (1, Reason::PixelLength),
            (9, Reason::PixelLength),
            (4096, Reason::PixelLength),
            (4097, Reason::LimitExceeded),
            (65535, Reason::LimitExceeded),
        ] {
            table.plan(&format!("{keyword} {value}"), reason, |draft| draft.us(tag, value));
        }
        for (name, vr, value, reason) in [
            ("UL", "UL", &[8, 0, 0, 0][..], Reason::ImageGeometry),
            ("two values", "US", &[8, 0, 8, 0], Reason::ImageGeometry),
            ("one byte", "US", &[8], Reason::ImageGeometry),
            ("empty", "US", &[], Reason::ImageGeometry),
            ("-1", "SS", &[255, 255], Reason::LimitExceeded),
            ("text", "IS", b"512 ", Reason::ImageGeometry),
            ("a sequence", "SQ", b"", Reason::ImageGeometry),
        ] {
            table.plan(&format!("{keyword} as {name}"), reason, |draft| draft.put(tag, vr, value));
        }
        table.plan(&format!("no {keyword}"), Reason::ImageGeometry, |draft| draft.without(tag));
    }
    table.plan("65535 by 65535", Reason::LimitExceeded, |draft| draft.size(65535, 65535));
    table.row("1 by 64", |draft| draft.size(1, 64));
    table.row("64 by 1", |draft| draft.size(64, 1));
    table.row("1 by 1", |draft| draft.size(1, 1).pixels(&[1, 0]));
    table.row("4096 by 1", |draft| draft.size(4096, 1).pixels(&[1; 8192]));
}

fn bits(table: &mut Table) {
    for allocated in [0, 1, 12, 24, 64, 65535] {
        let name = format!("Bits Allocated {allocated}");
        table.plan(&name, Reason::PixelFormat, |draft| draft.us(tags::BITS_ALLOCATED, allocated));
    }
    table.plan("Bits Allocated 8 and Bits Stored 16", Reason::ImageGeometry, |draft| draft.bits(8, 16, 15));
    table.plan("Bits Allocated 32 for 16", Reason::PixelLength, |draft| draft.bits(32, 16, 15));
    for stored in [0, 17, 65535] {
        let name = format!("Bits Stored {stored}");
        table.plan(&name, Reason::ImageGeometry, |draft| draft.us(tags::BITS_STORED, stored));
    }
    for high in [0, 3, 16, 65535] {
        table.plan(&format!("High Bit {high}"), Reason::ImageGeometry, |draft| draft.us(tags::HIGH_BIT, high));
    }
    for sign in [2, 65535] {
        let name = format!("Pixel Representation {sign}");
        table.plan(&name, Reason::ImageGeometry, |draft| draft.us(tags::PIXEL_REPRESENTATION, sign));
    }
    for (keyword, tag) in [
        ("Bits Allocated", tags::BITS_ALLOCATED),
        ("Bits Stored", tags::BITS_STORED),
        ("Pixel Representation", tags::PIXEL_REPRESENTATION),
    ] {
        table.plan(&format!("no {keyword}"), Reason::ImageGeometry, |draft| draft.without(tag));
        table.plan(&format!("{keyword} twice"), Reason::ImageGeometry, |draft| draft.put(tag, "US", &[1, 0, 1, 0]));
    }
    table.row("no High Bit", |draft| draft.without(tags::HIGH_BIT));
    table.row("1 bit stored", |draft| draft.bits(16, 1, 0));
    table.row("12 bits at the top", |draft| draft.bits(16, 12, 15).pixels(&[0x10, 0x40].repeat(64)));
    table.slice("12 bits at the top, and bits below", Reason::ImageGeometry, |draft| draft.bits(16, 12, 15));
    table.row("32 bits", |draft| draft.bits(32, 32, 31).pixels(&[0; 256]));
    let unsigned = |draft: Draft| draft.us(tags::PIXEL_REPRESENTATION, 0).bits(32, 32, 31).pixels(&[0xFF; 256]);
    table.slice("32 bits that no sign leaves room for", Reason::PixelFormat, unsigned);
    table.slice("32 bits above all HU", Reason::HuRange, |draft| draft.bits(32, 32, 31).pixels(&[0x7F; 256]));
    table.plan("a gap above the stored bits, compressed", Reason::ImageGeometry, |draft| {
        draft.bits(16, 12, 15).frame("1.2.840.10008.1.2.4.70", b"ab")
    });
}

fn samples_and_frames(table: &mut Table) {
    for samples in [0, 2, 3, 4, 65535] {
        let name = format!("{samples} samples per pixel");
        table.plan(&name, Reason::Colour, |draft| draft.us(tags::SAMPLES_PER_PIXEL, samples));
    }
    for photometric in ["PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "HSV", "nonsense"] {
        let name = format!("photometric {photometric}");
        table.plan(&name, Reason::Colour, |draft| draft.text(tags::PHOTOMETRIC_INTERPRETATION, "CS", photometric));
    }
    table.row("MONOCHROME1", |draft| draft.text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME1"));
    table.row("no photometric", |draft| draft.without(tags::PHOTOMETRIC_INTERPRETATION));
    table.row("no samples per pixel", |draft| draft.without(tags::SAMPLES_PER_PIXEL));
    table.row("planar configuration 7", |draft| draft.us(tags::PLANAR_CONFIGURATION, 7));
    for (name, rows, data) in [("of no rows", 0u16, 0), ("of 65535 rows", 65535, 8), ("in the pixels' bits", 8, 0)] {
        table.row(&format!("an overlay {name}"), |draft| {
            let overlay = |element| dicom_core::Tag(0x6000, element);
            let draft = draft.us(overlay(0x0010), rows).us(overlay(0x0011), 8).us(overlay(0x0100), 16);
            draft.us(overlay(0x0102), 12).put(overlay(0x3000), "OW", &vec![0; data])
        });
    }
    table.row("an overlay beyond the image", |draft| {
        draft.put(dicom_core::Tag(0x6000, 0x0010), "US", &[0xFF; 2]).put(dicom_core::Tag(0x6000, 0x3000), "OW", b"ab")
    });
    for (frames, reason) in [
        ("0", Reason::ImageGeometry),
        ("-1", Reason::ImageGeometry),
        ("1\\2", Reason::ImageGeometry),
        ("1.5", Reason::ImageGeometry),
        ("abc", Reason::ImageGeometry),
        ("1e999", Reason::ImageGeometry),
        ("2", Reason::PixelLength),
        ("16384", Reason::PixelLength),
        ("16385", Reason::LimitExceeded),
        ("2147483648", Reason::LimitExceeded),
        ("1000000000000", Reason::LimitExceeded),
        ("1e300", Reason::LimitExceeded),
    ] {
        table.plan(&format!("{frames} frames"), reason, |draft| draft.text(tags::NUMBER_OF_FRAMES, "IS", frames));
    }
    for frames in ["", "  ", " 1 "] {
        table.row(&format!("frames {frames:?}"), |draft| draft.text(tags::NUMBER_OF_FRAMES, "IS", frames));
    }
    table.file("the second frame cut", Expected::Row, |draft| {
        let bytes = draft.text(tags::NUMBER_OF_FRAMES, "IS", "2").pixels(&[1; 256]).bytes();
        bytes[..bytes.len() - 1].to_vec()
    });
}

fn fragments(table: &mut Table) {
    let frame = rle();
    let end = element(SEQUENCE_END, "", b"");
    let (a, b) = frame.split_at(71);
    let all: Vec<&[u8]> = frame.chunks(1).collect();
    table.row("one fragment", |draft| draft.frame(RLE_UID, &frame));
    table.row("fragments of odd length", |draft| draft.fragments(RLE_UID, &[], &[a, b]));
    table.row("fragments of one byte", |draft| draft.fragments(RLE_UID, &[], &all));
    table.row("empty fragments first", |draft| draft.fragments(RLE_UID, &[], &[b"", b"", &frame, b""]));
    table.row("no delimiter behind the fragments", |draft| draft.encapsulated(RLE_UID, &items(&[], &[&frame])));
    table.row("an offset table that is wrong", |draft| draft.fragments(RLE_UID, &[77], &[&frame]));
    table.row("an offset table of 100 entries", |draft| draft.fragments(RLE_UID, &[9; 100], &[&frame]));
    table.row("an offset table of 3 bytes", |draft| {
        draft.encapsulated(RLE_UID, &[element(ITEM, "", b"abc"), element(ITEM, "", &frame), end.clone()].concat())
    });
    table.row("an extended offset table that is wrong", |draft| {
        draft.put(tags::EXTENDED_OFFSET_TABLE, "OV", &[0xFF; 16]).frame(RLE_UID, &frame)
    });
    for (name, offsets, lengths) in [
        ("of no frame", &[][..], &[][..]),
        ("behind the end", &[1u64 << 62][..], &[9][..]),
        ("of two frames", &[0, 8], &[9, 9]),
        ("of the largest length", &[0], &[u64::MAX]),
        ("without its lengths", &[0], &[]),
    ] {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        table.row(&format!("an extended offset table {name}"), |draft| {
            let draft = draft.put(tags::EXTENDED_OFFSET_TABLE, "OV", &words(offsets));
            draft.put(tags::EXTENDED_OFFSET_TABLE_LENGTHS, "OV", &words(lengths)).frame(RLE_UID, &frame)
        });
    }
    for syntax in [LOSSLESS_UID, BASELINE_UID, LS_UID, J2K_UID, XL_UID, RLE_UID] {
        for short in [&b""[..], b"\xFF", b"\xFF\xD8", b"\xFF\x4F", b"\xFF\x0A"] {
            let name = format!("a fragment of {short:?} in {syntax}");
            table.slice(&name, Reason::DecodeFailed, |draft| form(draft, syntax).frame(syntax, short));
        }
    }
    let mut broken = |name: &str, reason, content: Vec<u8>| {
        table.plan(name, reason, |draft| draft.encapsulated(RLE_UID, &content));
    };
    let bad = Reason::MalformedHeader;
    broken("no items", bad, end.clone());
    broken("nothing in Pixel Data", Reason::Truncated, Vec::new());
    broken("an offset table and no fragment", Reason::FrameMissing, [items(&[], &[]), end.clone()].concat());
    broken("an offset table and the end", Reason::Truncated, items(&[], &[]));
    broken("a fragment to behind the end", Reason::Truncated, [items(&[], &[]), lie(ITEM, "", 9999, &frame)].concat());
    broken("a fragment of 4 GB", Reason::Truncated, [items(&[], &[]), lie(ITEM, "", u32::MAX - 1, &frame)].concat());
    broken("an open fragment", bad, [items(&[], &[]), lie(ITEM, "", u32::MAX, &frame), end.clone()].concat());
    broken("an offset table to behind the end", Reason::Truncated, lie(ITEM, "", 9999, &frame));
    broken("an item delimiter between fragments", bad, [items(&[], &[a]), element(ITEM_END, "", b"")].concat());
    broken("another element between fragments", bad, [items(&[], &[a]), element(tags::ROWS, "US", b"ab")].concat());
    broken("half an item header", Reason::Truncated, [items(&[], &[&frame]), vec![0xFE, 0xFF, 0]].concat());
    let mut beyond_the_header = |name: &str, reason, content: Vec<u8>| {
        table.slice(name, reason, |draft| draft.encapsulated(RLE_UID, &content));
    };
    beyond_the_header("an empty fragment", Reason::DecodeFailed, [items(&[], &[b""]), end.clone()].concat());
    beyond_the_header("a fragment of one byte", Reason::DecodeFailed, [items(&[], &[b"\x02"]), end.clone()].concat());
    beyond_the_header("66,000 fragments", Reason::LimitExceeded, items(&[], &vec![&b""[..]; 66_000]));
}

/// Two frames in fragments that do not part themselves.
fn frames_of_fragments(table: &mut Table) {
    let frame = rle();
    let (a, b) = frame.split_at(80);
    let second = frame.len() as u32 + 8;
    let two = |draft: Draft| draft.text(tags::NUMBER_OF_FRAMES, "IS", "2");
    table.row("two frames", |draft| two(draft).fragments(RLE_UID, &[], &[&frame, &frame]));
    table.row("two frames by their offsets", |draft| two(draft).fragments(RLE_UID, &[0, second], &[&frame, a, b]));
    table.row("two frames, offsets wrong", |draft| two(draft).fragments(RLE_UID, &[0, 5], &[&frame, &frame]));
    table.row("a second frame behind the end", |draft| {
        two(draft).fragments(RLE_UID, &[0, 1 << 30], &[&frame, b"ab", b"cd"])
    });
    let parts: [&[u8]; 3] = [&frame, a, b];
    let bad = Reason::MalformedHeader;
    for (name, offsets) in [
        ("no offsets", &[][..]),
        ("offsets that do not ascend", &[second, 0]),
        ("equal offsets", &[0, 0]),
        ("offsets into a fragment", &[0, 9]),
        ("a first offset that is not 0", &[second, second]),
        ("three offsets", &[0, second, second + 8]),
    ] {
        let name = format!("three fragments of two frames, {name}");
        // The table parts nothing; that two of the fragments begin with an RLE header does.
        table.file(&name, Expected::Row, |draft| two(draft).fragments(RLE_UID, offsets, &parts).bytes());
    }
    table.plan("one fragment of two frames", bad, |draft| two(draft).frame(RLE_UID, &frame));
    table.plan("no fragment of 100 frames", bad, |draft| {
        draft.text(tags::NUMBER_OF_FRAMES, "IS", "100").fragments(RLE_UID, &[], &[])
    });
}
