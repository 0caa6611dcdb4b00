//! Lies about the structure: preamble, File Meta Information, lengths, sequences, classes.

use dcmshard::reason::Reason;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::draft::{
    BIG_UID, DEFLATED_UID, Draft, EXPLICIT_UID, Encoding, Expected, IMPLICIT_UID, ITEM, ITEM_END, PRIVATE,
    SEQUENCE_END, Table, deflate, element, lie, meta,
};

/// Value Representations with a length of 16 bits.
const SHORT: [&str; 21] = [
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI",
    "UL", "US",
];
/// The same with 32 bits; sequences and what may be one not among them.
const LONG: [&str; 11] = ["OB", "OD", "OF", "OL", "OV", "OW", "SV", "UC", "UR", "UT", "UV"];

pub fn cases() -> Table {
    let mut table = Table::default();
    no_dicom(&mut table);
    beginnings(&mut table);
    syntaxes(&mut table);
    lengths(&mut table);
    sequences(&mut table);
    nesting(&mut table);
    order(&mut table);
    classes(&mut table);
    table
}

fn no_dicom(table: &mut Table) {
    let mut not = |name: &str, bytes: &[u8]| table.file(name, Expected::Plan(Reason::NotDicom), |_| bytes.to_vec());
    not("one byte", b"D");
    not("only the word", b"DICM");
    not("preamble without the word", &[0; 128]);
    not("zeros", &[0; 10_000]);
    not("ones", &[0xFF; 10_000]);
    not("text", b"this is a note about the study and not an image at all, whatever its name says");
    not("gzip", &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4]);
    not("zip", b"PK\x03\x04\x14\0\0\0\x08\0../../etc/passwd");
    not("pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n");
    not("jpeg", &[0xFF, 0xD8, 0xFF, 0xE0, 0, 16, b'J', b'F', b'I', b'F', 0, 1]);
    not("elf", b"\x7FELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0");
    table.file("empty", Expected::Plan(Reason::EmptyFile), |_| Vec::new());
    table.file("preamble only", Expected::Plan(Reason::Truncated), |draft| draft.bytes()[..132].to_vec());
    table.file("preamble and half a tag", Expected::Plan(Reason::Truncated), |draft| draft.bytes()[..134].to_vec());
    let junk = |text: &[u8]| [&[0; 128][..], b"DICM", text].concat();
    table.file("preamble and text", Expected::Plan(Reason::MalformedHeader), |_| junk(b"and then words of no use"));
    table.file("preamble and ones", Expected::Plan(Reason::MalformedHeader), |_| junk(&[0xFF; 64]));
}

fn beginnings(table: &mut Table) {
    table.file("no preamble", Expected::Row, |draft| draft.bytes()[128..].to_vec());
    table.file("no preamble and no word", Expected::Row, |draft| draft.bytes()[132..].to_vec());
    for (name, encoding) in
        [("explicit", Encoding::Explicit), ("implicit", Encoding::Implicit), ("big endian", Encoding::Big)]
    {
        table.written_as(&format!("bare {name}"), encoding, Expected::Row, |draft| draft.data_set());
    }
    let polyglot = |draft: Draft, start: &[u8]| {
        let mut bytes = draft.bytes();
        bytes[..start.len()].copy_from_slice(start);
        bytes
    };
    table.file("preamble of a program", Expected::Row, |draft| polyglot(draft, b"MZ\x90\0\x03"));
    table.file("preamble of a tiff", Expected::Row, |draft| polyglot(draft, b"II*\0\x08\0\0\0"));
    for (name, length) in [("0", 0u32), ("too small", 4), ("too large", 4_000), ("largest", u32::MAX)] {
        table.file(&format!("length of group 2 is {name}"), Expected::Row, |draft| {
            draft.with_meta(&[element(Tag(2, 0), "UL", &length.to_le_bytes()), meta(EXPLICIT_UID)].concat())
        });
    }
    table.file("no meta between word and data", Expected::Row, |draft| draft.with_meta(b""));
    table.file("meta in implicit VR", Expected::Row, |draft| {
        draft.with_meta(&Encoding::Implicit.element(tags::TRANSFER_SYNTAX_UID, "UI", b"1.2.840.10008.1.2.1\0"))
    });
    table.file("meta element of undefined length", Expected::Plan(Reason::MalformedHeader), |draft| {
        draft.with_meta(&lie(Tag(2, 1), "OB", u32::MAX, b""))
    });
    for (name, length) in [("of 4 GB", u32::MAX - 1), ("of 100 kB", 100_000)] {
        table.file(&format!("meta element {name}"), Expected::Plan(Reason::Truncated), |draft| {
            draft.with_meta(&lie(Tag(2, 1), "OB", length, b""))
        });
    }
    table.file("meta with a bad VR", Expected::Plan(Reason::MalformedHeader), |draft| {
        draft.with_meta(&[element(Tag(2, 1), "OB", b"\0\x01"), lie(Tag(2, 3), "??", 0, b"")].concat())
    });
    table.file("meta and nothing else", Expected::Plan(Reason::NoPixelData), |_| {
        let class = element(tags::MEDIA_STORAGE_SOP_CLASS_UID, "UI", b"1.2.840.10008.5.1.4.1.1.2\0");
        [&[0; 128][..], b"DICM", &class, &meta(EXPLICIT_UID)].concat()
    });
}

fn syntaxes(table: &mut Table) {
    table.file("no transfer syntax", Expected::Row, |draft| draft.with_meta(&element(Tag(2, 3), "UI", b"2.25.1")));
    for (name, uid, expected) in [
        ("empty", "", Expected::Row),
        ("with spaces", " 1.2.840.10008.1.2.1 ", Expected::Row),
        ("unknown", "1.2.3", Expected::Plan(Reason::TransferSyntax)),
        ("words", "explicit little endian", Expected::Plan(Reason::TransferSyntax)),
        ("a path", "../../../etc/passwd", Expected::Plan(Reason::TransferSyntax)),
        ("mpeg2", "1.2.840.10008.1.2.4.100", Expected::Plan(Reason::TransferSyntax)),
        ("papyrus", "1.2.840.10008.1.20", Expected::Plan(Reason::TransferSyntax)),
    ] {
        table.file(&format!("transfer syntax {name}"), expected, |draft| draft.with_meta(&meta(uid)));
    }
    table.file("transfer syntax of 1000 characters", Expected::Plan(Reason::TransferSyntax), |draft| {
        draft.with_meta(&meta(&"1.2.840.10008.1.2.1".repeat(53)))
    });
    for (last, expected) in [
        ("4.51", Expected::Slice(Reason::DecodeFailed)),
        ("4.53", Expected::Slice(Reason::DecodeFailed)),
        ("4.55", Expected::Slice(Reason::DecodeFailed)),
        ("4.92", Expected::Plan(Reason::TransferSyntax)),
        ("4.93", Expected::Plan(Reason::TransferSyntax)),
        ("8.1", Expected::Slice(Reason::DecodeFailed)),
    ] {
        table.file(&format!("syntax {last}"), expected, |draft| {
            draft.frame("", b"ab").with_meta(&meta(&format!("1.2.840.10008.1.2.{last}")))
        });
    }
    for (is, encoding) in
        [("explicit", Encoding::Explicit), ("implicit", Encoding::Implicit), ("big endian", Encoding::Big)]
    {
        for (said, uid) in [("explicit", EXPLICIT_UID), ("implicit", IMPLICIT_UID), ("big endian", BIG_UID)] {
            let name = format!("{is} called {said}");
            table.written_as(&name, encoding, Expected::Row, |draft| draft.labelled(uid).bytes());
        }
    }
}

fn lengths(table: &mut Table) {
    for vr in SHORT {
        table.plan(&format!("{vr} to behind the end"), Reason::Truncated, |draft| draft.lie(PRIVATE, vr, 0xFFFE, b""));
    }
    for vr in LONG {
        let mut huge = |length| {
            let name = format!("{vr} of {length} bytes");
            table.plan(&name, Reason::LimitExceeded, |draft| draft.lie(PRIVATE, vr, length, b""));
        };
        huge(0xFFFF_FFFE);
        huge(0x7FFF_FFFF);
        let name = format!("{vr} of undefined length");
        table.plan(&name, Reason::MalformedHeader, |draft| draft.lie(PRIVATE, vr, u32::MAX, b""));
        let name = format!("{vr} to behind the end");
        table.plan(&name, Reason::Truncated, |draft| draft.lie(PRIVATE, vr, 1 << 20, b""));
    }
    for vr in ["SQ", "UN", "ZZ"] {
        for length in [0xFFFF_FFFEu32, 1 << 20] {
            let reason = if vr == "ZZ" && length > 1 << 22 { Reason::LimitExceeded } else { Reason::Truncated };
            table.plan(&format!("{vr} of {length} bytes"), reason, |draft| draft.lie(PRIVATE, vr, length, b""));
        }
    }
    for vr in ["??", "zz", "\0\0", "  ", "U\0", "12"] {
        let name = format!("VR {vr:?}");
        table.plan(&name, Reason::MalformedHeader, |draft| draft.put(PRIVATE, vr, b"ab"));
    }
    table.row("a VR of the future", |draft| draft.put(PRIVATE, "ZZ", b"ab"));
    table.row("odd length", |draft| draft.put(PRIVATE, "LO", b"abc"));
    table.row("odd length of a value that is read", |draft| draft.put(tags::RESCALE_SLOPE, "DS", b"1.0"));
    table.row("the length of a group is a lie", |draft| draft.put(Tag(8, 0), "UL", &[0xFF; 4]));
    table.row("no private creator", |draft| draft.put(Tag(0x29, 0x1010), "OB", &[7; 100]));
    table.row("a private creator without elements", |draft| draft.put(Tag(0x29, 0x10), "LO", b"SOMEBODY"));
    for (name, most) in [("in its header", 250), ("in a tag", 250 + 1)] {
        table.file(&format!("cut {name}"), Expected::Plan(Reason::Truncated), |draft| draft.bytes()[..most].to_vec());
    }
    table.file("cut before Pixel Data", Expected::Plan(Reason::NoPixelData), |draft| {
        draft.without(tags::PIXEL_DATA).bytes()
    });
    for left in [0, 1, 64, 127] {
        table.file(&format!("cut after {left} bytes of pixels"), Expected::Plan(Reason::Truncated), |draft| {
            let bytes = draft.bytes();
            bytes[..bytes.len() - 128 + left].to_vec()
        });
    }
}

/// A sequence of undefined length with these bytes in it, and what ends it.
fn sequence(content: &[u8], end: &[u8]) -> Vec<u8> {
    [lie(PRIVATE, "SQ", u32::MAX, content), end.to_vec()].concat()
}

fn sequences(table: &mut Table) {
    let end = element(SEQUENCE_END, "", b"");
    let item_end = element(ITEM_END, "", b"");
    let inner = element(Tag(0x0009, 0x1002), "LO", b"abcd");
    let open = |content: &[u8]| lie(ITEM, "", u32::MAX, content);
    table.row("an empty sequence", |draft| draft.raw(PRIVATE, sequence(b"", &end)));
    table.row("an item of each kind", |draft| {
        let content = [element(ITEM, "", &inner), open(&inner), item_end.clone()].concat();
        draft.raw(PRIVATE, sequence(&content, &end))
    });
    let mut broken = |name: &str, reason, bytes: Vec<u8>| table.plan(name, reason, |draft| draft.raw(PRIVATE, bytes));
    let bad = Reason::MalformedHeader;
    broken("no item delimiter", bad, sequence(&open(&inner), &end));
    broken("no sequence delimiter", bad, sequence(&[open(&inner), item_end.clone()].concat(), b""));
    broken("no delimiter at all", Reason::Truncated, sequence(&open(&inner), b""));
    broken("an element in the place of an item", bad, sequence(&inner, &end));
    broken("an element longer than its item", bad, sequence(&lie(ITEM, "", 8, &inner), &end));
    broken("an element header across its item's end", bad, sequence(&lie(ITEM, "", 4, &inner), &end));
    broken("an item in an item", bad, sequence(&element(ITEM, "", &element(ITEM, "", b"")), &end));
    broken("an item delimiter in an item of defined length", bad, sequence(&element(ITEM, "", &item_end), &end));
    broken("an item delimiter at the top", bad, item_end.clone());
    broken("a sequence delimiter at the top", bad, end.clone());
    broken("an item at the top", bad, element(ITEM, "", b"ab"));
    broken("an open item at the top", bad, open(&inner));
    broken("two sequence delimiters", bad, sequence(b"", &end.repeat(2)));
    broken("a fragment of undefined length", bad, [lie(PRIVATE, "OB", u32::MAX, &open(b"")), end.clone()].concat());
    broken("an item to behind the end", Reason::Truncated, sequence(&lie(ITEM, "", 1 << 30, &inner), b""));
    let raw = [lie(PRIVATE, "OB", u32::MAX, &element(ITEM, "", b"abcd")), end.clone()].concat();
    table.row("fragments in a private element", |draft| draft.raw(PRIVATE, raw));
    let implicit = Encoding::Implicit.element(Tag(0x0009, 0x1002), "", b"abcd");
    let unknown = [lie(PRIVATE, "UN", u32::MAX, &element(ITEM, "", &implicit)), end.clone()].concat();
    table.row("UN is a sequence in implicit VR", |draft| draft.raw(PRIVATE, unknown));
    let groups = tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE;
    table.plan("an item longer than its functional groups", bad, |draft| {
        draft.put(groups, "SQ", &lie(ITEM, "", 100, &inner))
    });
    table.plan("functional groups without items", bad, |draft| draft.put(groups, "SQ", &inner));
    table.plan("a macro longer than its group", bad, |draft| {
        let measures = lie(tags::PIXEL_MEASURES_SEQUENCE, "SQ", 1_000, b"");
        draft.put(groups, "SQ", &element(ITEM, "", &measures))
    });
    table.row("macros of the wrong kind", |draft| {
        let measures = element(tags::PIXEL_MEASURES_SEQUENCE, "LO", b"");
        draft.put(groups, "SQ", &element(ITEM, "", &measures))
    });
}

fn nested(levels: usize, is_closed: bool) -> Vec<u8> {
    let open = [lie(PRIVATE, "SQ", u32::MAX, b""), lie(ITEM, "", u32::MAX, b"")].concat();
    let close = [element(ITEM_END, "", b""), element(SEQUENCE_END, "", b"")].concat();
    [open.repeat(levels), close.repeat(if is_closed { levels } else { 0 })].concat()
}

fn nesting(table: &mut Table) {
    table.row("16 levels", |draft| draft.raw(PRIVATE, nested(16, true)));
    for levels in [17, 256, 2_000, 100_000] {
        for is_closed in [true, false] {
            let name = format!("{levels} levels, closed: {is_closed}");
            table.plan(&name, Reason::LimitExceeded, |draft| draft.raw(PRIVATE, nested(levels, is_closed)));
        }
    }
    // What has a length is stepped over as a whole, however deep it is.
    for levels in [17, 2_000] {
        table.row(&format!("{levels} levels of defined length"), |draft| {
            let inside = (0..levels).fold(Vec::new(), |inside, _| element(PRIVATE, "SQ", &element(ITEM, "", &inside)));
            draft.raw(PRIVATE, inside)
        });
    }
    let empty = element(PRIVATE, "LO", b"");
    table.row("60,000 empty elements", |draft| draft.raw(PRIVATE, empty.repeat(60_000)));
    for count in [66_000, 1_000_000] {
        table.plan(&format!("{count} empty elements"), Reason::LimitExceeded, |draft| {
            draft.raw(PRIVATE, empty.repeat(count))
        });
    }
    let items = element(ITEM, "", b"");
    for count in [4_097, 1_000_000] {
        table.plan(&format!("{count} items"), Reason::LimitExceeded, |draft| {
            draft.raw(PRIVATE, sequence(&items.repeat(count), &element(SEQUENCE_END, "", b"")))
        });
    }
    table.plan("20,000 functional groups", Reason::LimitExceeded, |draft| {
        draft.put(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, "SQ", &items.repeat(20_000))
    });
    table.plan("a header of 17 MiB", Reason::LimitExceeded, |draft| {
        draft.raw(PRIVATE, element(PRIVATE, "OB", &vec![0; 1 << 20]).repeat(17))
    });
    table.row("a value of 5 MiB that nobody reads", |draft| draft.put(PRIVATE, "OB", &vec![0; 5 << 20]));
    table.plan("a value of 5 MiB that is read", Reason::LimitExceeded, |draft| {
        draft.put(tags::CONTRAST_BOLUS_AGENT, "UT", &vec![0; 5 << 20])
    });
}

fn order(table: &mut Table) {
    let rows = |value: u16| element(tags::ROWS, "US", &value.to_le_bytes());
    table.row("Rows twice, the second a lie", |draft| draft.behind(tags::ROWS, &rows(9)));
    table.row("Rows in front of everything", |draft| draft.without(tags::ROWS).raw(Tag(8, 0), rows(8)));
    table.plan("Rows behind Pixel Data", Reason::ImageGeometry, |draft| draft.without(tags::ROWS).tail(&rows(8)));
    table.row("Pixel Data twice", |draft| draft.tail(&element(tags::PIXEL_DATA, "OW", &[9; 400])));
    let icon = element(ITEM, "", &element(tags::PIXEL_DATA, "OW", &[9; 2]));
    table.row("an icon beside the image", |draft| draft.put(tags::ICON_IMAGE_SEQUENCE, "SQ", &icon));
    table.plan("an icon and no image", Reason::NoPixelData, |draft| {
        draft.without(tags::PIXEL_DATA).put(tags::ICON_IMAGE_SEQUENCE, "SQ", &icon)
    });
    for (tag, vr) in [(tags::FLOAT_PIXEL_DATA, "OF"), (tags::DOUBLE_FLOAT_PIXEL_DATA, "OD")] {
        table.plan(&format!("{vr} beside Pixel Data"), Reason::PixelFormat, |draft| draft.put(tag, vr, &[0; 8]));
        table.plan(&format!("{vr} for Pixel Data"), Reason::PixelFormat, |draft| {
            draft.without(tags::PIXEL_DATA).put(tag, vr, &[0; 8])
        });
    }
    table.row("zeros behind", |draft| draft.tail(&[0; 1000]));
    table.row("trailing padding", |draft| draft.tail(&element(Tag(0xFFFC, 0xFFFC), "OB", &[0; 100])));
    table.row("junk behind", |draft| draft.tail(&[0xFF; 999]));
    table.row("a second file behind", |draft| {
        let second = draft.bytes();
        draft.tail(&second)
    });
    table.plan("zeros for Pixel Data", Reason::NoPixelData, |draft| draft.without(tags::PIXEL_DATA).tail(&[0; 200]));
}

fn classes(table: &mut Table) {
    for (name, class) in [
        ("structured report", "1.2.840.10008.5.1.4.1.1.88.33"),
        ("dose report", "1.2.840.10008.5.1.4.1.1.88.67"),
        ("segmentation", "1.2.840.10008.5.1.4.1.1.66.4"),
        ("structure set", "1.2.840.10008.5.1.4.1.1.481.3"),
        ("dose", "1.2.840.10008.5.1.4.1.1.481.2"),
        ("presentation state", "1.2.840.10008.5.1.4.1.1.11.1"),
        ("secondary capture", "1.2.840.10008.5.1.4.1.1.7"),
        ("encapsulated pdf", "1.2.840.10008.5.1.4.1.1.104.1"),
        ("magnetic resonance", "1.2.840.10008.5.1.4.1.1.4"),
        ("longer than a class of CT", "1.2.840.10008.5.1.4.1.1.2.99"),
        ("two values", "1.2.840.10008.5.1.4.1.1.2\\1.2.840.10008.5.1.4.1.1.2"),
        ("a path", "../../../../tmp/x"),
    ] {
        let name = format!("class: {name}");
        table.plan(&name, Reason::NotCtImage, |draft| draft.text(tags::SOP_CLASS_UID, "UI", class));
    }
    table.plan("no class", Reason::NotCtImage, |draft| draft.without(tags::SOP_CLASS_UID));
    table.plan("an empty class", Reason::NotCtImage, |draft| draft.text(tags::SOP_CLASS_UID, "UI", ""));
    table.file("the class in the meta only", Expected::Row, |draft| {
        let class = element(tags::MEDIA_STORAGE_SOP_CLASS_UID, "UI", b"1.2.840.10008.5.1.4.1.1.2\0");
        draft.without(tags::SOP_CLASS_UID).with_meta(&[class, meta(EXPLICIT_UID)].concat())
    });
    table.plan("directory class", Reason::Dicomdir, |draft| {
        draft.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.1.3.10")
    });
    table.plan("directory records in a CT", Reason::Dicomdir, |draft| {
        draft.put(tags::DIRECTORY_RECORD_SEQUENCE, "SQ", &element(ITEM, "", b""))
    });
    for image_type in ["ORIGINAL\\PRIMARY\\LOCALIZER", " LOCALIZER ", "\\\\LOCALIZER\\\\"] {
        let name = format!("image type {image_type:?}");
        table.plan(&name, Reason::Localizer, |draft| draft.text(tags::IMAGE_TYPE, "CS", image_type));
    }
    table.file("another class, and then broken", Expected::Plan(Reason::NotCtImage), |draft| {
        let draft = draft.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.4");
        draft.put(PRIVATE, "??", b"").bytes()
    });
    table.file("deflated twice", Expected::Plan(Reason::Truncated), |draft| {
        let data_set = draft.data_set();
        let length = data_set.len() as u16;
        let stored = [&[1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), &data_set].concat();
        [&[0; 128][..], b"DICM", &meta(DEFLATED_UID), &deflate(&stored)].concat()
    });
}
