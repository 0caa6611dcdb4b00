//! No patient's text leaves the private folder: not in columns, not in names, not in messages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::Array;
use sha2::{Digest, Sha256};

use crate::cli::dcmshard;
use crate::made::{Ct, element};
use crate::shards::{batches, parquet_files, rows};

/// What must not be found anywhere, in the values that may hold letters.
const CANARY: &str = "ZXCANARYQ";
/// The same in UIDs.
const UID: &str = "2.25.735190284";
const DATE: &str = "19430719";
const TIME: &str = "235947.735190";
const AGE: &str = "087Y";
/// The same in decimal strings.
const NUMBER: f64 = 73.519028;

type Vr = &'static [u8; 2];
type Tags = &'static [(u16, u16)];

/// Attributes of CT data sets that hold text, by Value Representation.
const TEXTS: &[(Vr, Tags)] = &[
    (b"AE", &[(2, 0x16), (8, 0x54), (0x40, 1), (0x40, 0x241)]),
    (
        b"CS",
        &[
            (8, 8),
            (8, 0x60),
            (8, 0x1140),
            (0x10, 0x40),
            (0x18, 0x15),
            (0x18, 0x22),
            (0x18, 0x1140),
            (0x18, 0x5100),
            (0x18, 0x9004),
            (0x20, 0x60),
            (0x28, 0x2110),
            (0x40, 0x555),
        ],
    ),
    (
        b"LO",
        &[
            (8, 0x70),
            (8, 0x80),
            (8, 0x1030),
            (8, 0x103E),
            (8, 0x1040),
            (8, 0x1080),
            (8, 0x1090),
            (9, 0x10),
            (9, 0x1001),
            (0x10, 0x20),
            (0x10, 0x21),
            (0x10, 0x1000),
            (0x10, 0x1040),
            (0x10, 0x2110),
            (0x18, 0x10),
            (0x18, 0x1000),
            (0x18, 0x1020),
            (0x18, 0x1030),
            (0x20, 0x1040),
            (0x29, 0x10),
            (0x29, 0x1008),
            (0x32, 0x1060),
            (0x32, 0x1070),
            (0x38, 0x300),
            (0x40, 0x254),
        ],
    ),
    (
        b"SH",
        &[
            (2, 0x13),
            (8, 0x50),
            (8, 0x1010),
            (0x10, 0x2160),
            (0x18, 0x1160),
            (0x18, 0x1210),
            (0x20, 0x10),
            (0x40, 0x253),
        ],
    ),
    (
        b"PN",
        &[(8, 0x90), (8, 0x1048), (8, 0x1050), (8, 0x1060), (8, 0x1070), (0x10, 0x10), (0x10, 0x1001), (0x32, 0x1032)],
    ),
    (b"ST", &[(8, 0x81), (8, 0x2111), (0x40, 0x280)]),
    (b"LT", &[(0x10, 0x21B0), (0x10, 0x4000), (0x20, 0x4000), (0x28, 0x4000), (0x32, 0x4000), (0x4008, 0x4000)]),
    (b"UT", &[(0x40, 0xA160), (0x70, 0x81)]),
    (b"OB", &[(2, 0x102), (9, 0x1010), (0x29, 0x1010), (0x42, 0x11), (0x7FE1, 0x1001)]),
    (b"UN", &[(9, 0x1020), (0x19, 0x1020), (0x43, 0x1020), (0x51, 0x1020)]),
];

/// Attributes that hold what identifies without a letter.
const OTHERS: &[(Vr, &str, Tags)] = &[
    (
        b"UI",
        UID,
        &[
            (2, 3),
            (2, 0x12),
            (2, 0x100),
            (8, 0x14),
            (8, 0x18),
            (8, 0x3010),
            (0x18, 0x1002),
            (0x20, 0xD),
            (0x20, 0xE),
            (0x20, 0x52),
            (0x20, 0x200),
            (0x40, 0xA124),
        ],
    ),
    (
        b"DA",
        DATE,
        &[(8, 0x12), (8, 0x20), (8, 0x21), (8, 0x22), (8, 0x23), (0x10, 0x30), (0x18, 0x1200), (0x40, 0x244)],
    ),
    (
        b"TM",
        TIME,
        &[(8, 0x13), (8, 0x30), (8, 0x31), (8, 0x32), (8, 0x33), (0x10, 0x32), (0x18, 0x1201), (0x40, 0x245)],
    ),
    (b"DT", "19430719235947.735190", &[(8, 0x15), (8, 0x2A), (0x18, 0x9074)]),
    (b"AS", AGE, &[(0x10, 0x1010)]),
    (b"DS", "73.519028", &[(0x10, 0x1020), (0x10, 0x1030), (0x18, 0x90), (0x18, 0x1100), (0x18, 0x1130)]),
];

/// Sequences of items that hold text, dates and UIDs.
const SEQUENCES: &[(u16, u16)] =
    &[(8, 0x1032), (8, 0x1110), (8, 0x1111), (8, 0x1140), (9, 0x1030), (0x10, 0x1002), (0x32, 0x1064), (0x40, 0x275)];

type Elements = BTreeMap<(u16, u16), ([u8; 2], Vec<u8>)>;

/// A CT slice of 64x64 pixels, every other attribute holding a canary of its own.
fn elements() -> Elements {
    let mut elements = Elements::new();
    for (vr, tags) in TEXTS {
        for (group, number) in *tags {
            elements.insert((*group, *number), (**vr, text((*group, *number)).into_bytes()));
        }
    }
    for (vr, value, tags) in OTHERS {
        tags.iter().for_each(|tag| drop(elements.insert(*tag, (**vr, value.as_bytes().to_vec()))));
    }
    let mut item = Vec::new();
    element(&mut item, (8, 0x1155), b"UI", UID.as_bytes());
    element(&mut item, (0x10, 0x20), b"LO", text((0x10, 0x20)).as_bytes());
    element(&mut item, (0x40, 2), b"DA", DATE.as_bytes());
    element(&mut item, (0x40, 7), b"LO", CANARY.as_bytes());
    let item = [&[0xFE, 0xFF, 0, 0xE0][..], &(item.len() as u32).to_le_bytes(), &item].concat();
    SEQUENCES.iter().for_each(|tag| drop(elements.insert(*tag, (*b"SQ", item.clone()))));
    let mut set = |tag, vr: &[u8; 2], value: &[u8]| drop(elements.insert(tag, (*vr, value.to_vec())));
    set((2, 2), b"UI", b"1.2.840.10008.5.1.4.1.1.2");
    set((2, 0x10), b"UI", b"1.2.840.10008.1.2.1");
    set((8, 0x16), b"UI", b"1.2.840.10008.5.1.4.1.1.2");
    set((8, 8), b"CS", b"ORIGINAL\\PRIMARY\\ZXCANARYQ\\zxcanaryq");
    set((0x28, 4), b"CS", b"MONOCHROME2");
    for (number, value) in [(2, 1u16), (0x10, 64), (0x11, 64), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 1)] {
        set((0x28, number), b"US", &value.to_le_bytes());
    }
    set((0x28, 0x1052), b"DS", b"0");
    set((0x28, 0x1053), b"DS", b"1");
    let stored = Ct::head(64, 20.0, 15.0, 5.0).stored;
    set((0x7FE0, 0x10), b"OW", &stored.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    set((0xFFFC, 0xFFFC), b"OB", &CANARY.repeat(20).into_bytes());
    elements
}

/// An attribute's own canary.
fn text((group, number): (u16, u16)) -> String {
    format!("{CANARY}{}", u32::from(group) << 16 | u32::from(number))
}

/// The file, with canaries where nobody looks: in the preamble, and behind the data set.
fn file(elements: &Elements) -> Vec<u8> {
    let mut bytes = CANARY.repeat(15).into_bytes()[..128].to_vec();
    bytes.extend(b"DICM");
    elements.iter().for_each(|(tag, (vr, value))| element(&mut bytes, *tag, vr, value));
    bytes.extend(CANARY.repeat(3).into_bytes());
    bytes
}

/// Slices, rejects of every kind and files that are no slices: names, folders and contents all hold
/// canaries.
fn archive(folder: &Path) {
    let below = folder.join(format!("{CANARY}-patient")).join(DATE);
    fs::create_dir_all(&below).expect("can be made");
    let write = |n: usize, bytes: &[u8]| {
        fs::write(below.join(format!("{CANARY}-{n}.dcm")), bytes).expect("can be written");
    };
    let whole = elements();
    write(0, &file(&whole));
    wrong_attributes(&whole, write);
    lost_readings(&file(&whole), write);
    codestreams(&whole, write);
    fs::write(below.join(format!("{CANARY}.txt")), CANARY).expect("can be written");
}

/// One attribute that the program reads made wrong, so that it may be told of.
fn wrong_attributes(whole: &Elements, write: impl Fn(usize, &[u8])) {
    let wrong: &[((u16, u16), [u8; 2])] = &[
        ((2, 0x10), *b"UI"),
        ((8, 0x16), *b"UI"),
        ((0x28, 4), *b"CS"),
        ((0x28, 8), *b"IS"),
        ((0x28, 0x10), *b"US"),
        ((0x28, 0x100), *b"US"),
        ((0x28, 0x101), *b"LO"),
        ((0x28, 0x1052), *b"DS"),
        ((0x28, 0x1053), *b"DS"),
        ((0x28, 0x3000), *b"SQ"),
    ];
    for (n, (tag, vr)) in wrong.iter().enumerate() {
        let mut elements = whole.clone();
        elements.insert(*tag, (*vr, CANARY.repeat(2).into_bytes()));
        elements.insert((8, 0x18), (*b"UI", format!("{UID}.{n}").into_bytes()));
        write(10 + n, &file(&elements));
    }
}

/// Cuts, and lengths that let the reading lose its way among the texts.
fn lost_readings(bytes: &[u8], write: impl Fn(usize, &[u8])) {
    (0..40).for_each(|n| write(100 + n, &bytes[..bytes.len().min(140 + 173 * n)]));
    for (n, tag) in [(8u16, 0x80u16), (8, 0x1030), (0x10, 0x10), (0x10, 0x21B0), (0x20, 0x4000)].iter().enumerate() {
        let head = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        let at = bytes.windows(4).position(|bytes| bytes == head).expect("is there");
        for (step, length) in [1u8, 2, 3, 5, 7, 9].into_iter().enumerate() {
            let mut bytes = bytes.to_vec();
            bytes[at + 6] = length;
            write(200 + 10 * n + step, &bytes);
        }
    }
}

/// Compressed frames that are none.
fn codestreams(whole: &Elements, write: impl Fn(usize, &[u8])) {
    for (n, syntax) in ["4.90", "4.80", "4.70", "4.50", "4.110", "5"].iter().enumerate() {
        let mut elements = whole.clone();
        elements.insert((2, 0x10), (*b"UI", format!("1.2.840.10008.1.2.{syntax}").into_bytes()));
        elements.insert((8, 0x18), (*b"UI", format!("{UID}.9{n}").into_bytes()));
        elements.retain(|tag, _| *tag < (0x7FE0, 0));
        let mut bytes = file(&elements);
        bytes.truncate(bytes.len() - 3 * CANARY.len());
        bytes.extend([0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bytes.extend([0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 90, 0, 0, 0]);
        bytes.extend(CANARY.repeat(10).into_bytes());
        bytes.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        write(300 + n, &bytes);
    }
}

#[test]
fn a_canary_in_every_text_date_and_uid_is_found_nowhere_in_out() {
    let count = TEXTS.iter().map(|(_, tags)| tags.len()).sum::<usize>();
    let count = count + OTHERS.iter().map(|(_, _, tags)| tags.len()).sum::<usize>() + SEQUENCES.len();
    assert!(count >= 100, "{count} attributes");
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out, key) = (temp.path().join(CANARY), temp.path().join("out"), temp.path().join("key"));
    archive(&src);
    fs::write(&key, [9; 32]).expect("can be written");
    let needles = Needles::new();
    let [src, out, key] = [src, out, key].map(|path| path.display().to_string());
    let convert = ["-vv", "convert", &src, "--out", &out, "--key", &key, "--progress", "json"];
    for (arguments, code) in [
        (&convert[..], 0),
        (&convert, 0),
        (&[&convert[..], &["--recipe", "seed"]].concat(), 4),
        (&["verify", &out, "--read-data"], 0),
    ] {
        let output = dcmshard(arguments);
        let printed = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&printed));
        needles.hold("what is printed", &printed);
    }
    let out = Path::new(&out);
    for entry in walkdir::WalkDir::new(out) {
        let entry = entry.expect("can be listed");
        let name = entry.path().strip_prefix(out).expect("is below").to_string_lossy();
        needles.hold("a file's name", name.as_bytes());
        if entry.file_type().is_file() {
            needles.hold(&name, &fs::read(entry.path()).expect("can be read"));
        }
    }
    // Pages are compressed: read every value back.
    for file in parquet_files(out) {
        for batch in batches(&file) {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                needles.hold_column(field.name(), column);
            }
        }
    }
    let written = rows(out);
    assert_eq!(written.len(), 2, "the whole slice, and that with a table beside its rescale");
    for row in written {
        assert_eq!((row.text("modality"), row.text("manufacturer")), (Some("CT"), Some("other")));
        for column in ["manufacturer_model_name", "convolution_kernel", "body_part_examined", "patient_position"] {
            assert_eq!(row.text(column), None, "{column}");
        }
    }
}

/// The canaries in every form that they are looked for in.
struct Needles {
    /// Upper case, to be found in any case.
    any_case: Vec<Vec<u8>>,
    exact: Vec<Vec<u8>>,
}

impl Needles {
    fn new() -> Needles {
        let words = [CANARY, UID, DATE, "1943-07-19", "19.07.1943", TIME, "23:59:47", AGE, "73.519028"];
        let mut any_case: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut exact = vec![NUMBER.to_le_bytes().to_vec(), CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect()];
        for word in [CANARY, &CANARY.to_lowercase(), UID, DATE, TIME] {
            any_case.push(word.bytes().rev().collect::<Vec<u8>>().to_ascii_uppercase());
            any_case.push(hex::encode_upper(word).into_bytes());
            exact.extend((0..3).map(|shift| base64(word, shift)));
        }
        let texts = TEXTS.iter().flat_map(|(_, tags)| *tags).map(|tag| text(*tag));
        for value in texts.chain([CANARY, UID, DATE, TIME].map(str::to_owned)) {
            for hash in [Sha256::digest(&value).to_vec(), blake3::hash(value.as_bytes()).as_bytes().to_vec()] {
                any_case.push(hex::encode_upper(&hash[..8]).into_bytes());
                exact.push(hash[..8].to_vec());
            }
        }
        Needles { any_case, exact }
    }

    fn hold(&self, place: &str, bytes: &[u8]) {
        let upper = bytes.to_ascii_uppercase();
        let found = |hay: &[u8], needle: &Vec<u8>| hay.windows(needle.len()).any(|window| window == needle);
        let needle = self.any_case.iter().find(|needle| found(&upper, needle));
        let needle = needle.or_else(|| self.exact.iter().find(|needle| found(bytes, needle)));
        assert!(needle.is_none(), "{place} holds {}", String::from_utf8_lossy(needle.expect("one")));
    }

    /// Every byte of a column, of its lists' items too.
    fn hold_column(&self, name: &str, column: &dyn Array) {
        let mut data = vec![column.to_data()];
        while let Some(next) = data.pop() {
            next.buffers().iter().for_each(|buffer| self.hold(name, buffer.as_slice()));
            data.extend(next.child_data().iter().cloned());
        }
    }
}

/// What stands in base64 for a word `shift` bytes after a multiple of three, without the ends that
/// depend on its neighbours.
fn base64(word: &str, shift: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = &word.as_bytes()[(3 - shift) % 3..];
    let whole = bytes.as_chunks::<3>().0.iter().flat_map(|[a, b, c]| {
        let bits = u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c);
        [18, 12, 6, 0].map(|low| DIGITS[(bits >> low & 63) as usize])
    });
    whole.collect()
}

#[test]
fn needles_are_found_in_every_form() {
    let needles = Needles::new();
    assert_eq!(base64("ZXCANARYQ", 0), b"WlhDQU5BUllR");
    let hidden: [&[u8]; 8] = [
        b"..zxcanaryq..",
        b"qyranacxz",
        b"5a5843414e41525951",
        b"WlhDQU5BUllR",
        b"eFpYQ0FOQVJZUQ==",
        b"born 1943-07-19",
        &NUMBER.to_le_bytes(),
        &hex::encode(Sha256::digest(DATE)).into_bytes(),
    ];
    for bytes in hidden {
        assert!(
            std::panic::catch_unwind(|| needles.hold("here", bytes)).is_err(),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    needles.hold("here", b"nothing of the kind");
}
