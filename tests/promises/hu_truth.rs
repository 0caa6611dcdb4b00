//! HU or a reason: what a data set says of its pixels is done exactly, mended under a name, or a reject.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dcmshard::column::Value;
use dcmshard::decode::{Examined, examine};
use dcmshard::identity::SourceId;
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::{Fault, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::slice::{Bytes, InputRef, Ordinal, Slice, SliceRef};
use dcmshard::stage::Scratch;

use crate::made::{element, key, real_data};

const SLOPE: Tag = (0x28, 0x1053);
const INTERCEPT: Tag = (0x28, 0x1052);
const RESCALE_TYPE: Tag = (0x28, 0x1054);
const LUT_SEQUENCE: Tag = (0x28, 0x3000);
const PADDING: Tag = (0x28, 0x120);
const PADDING_LIMIT: Tag = (0x28, 0x121);
const PHOTOMETRIC: Tag = (0x28, 4);
const SHARED: Tag = (0x5200, 0x9229);
const PER_FRAME: Tag = (0x5200, 0x9230);
const TRANSFORMATION: Tag = (0x28, 0x9145);

type Tag = (u16, u16);

/// A CT file of one row, element by element.
#[derive(Clone)]
struct File(BTreeMap<Tag, ([u8; 2], Vec<u8>)>);

impl File {
    /// Signed 16-bit stored values, slope 1, intercept 0.
    fn signed(stored: &[i16]) -> File {
        File::of(&stored.iter().map(|&value| value as u16).collect::<Vec<_>>(), 16, true)
    }

    /// Cells with `bits` of 16 stored, slope 1, intercept 0.
    fn of(cells: &[u16], bits: u16, is_signed: bool) -> File {
        let file = File(BTreeMap::new());
        let texts = [
            ((8, 8), b"CS", "ORIGINAL\\PRIMARY\\AXIAL"),
            ((8, 0x16), b"UI", "1.2.840.10008.5.1.4.1.1.2"),
            ((8, 0x18), b"UI", "2.25.1"),
            ((8, 0x60), b"CS", "CT"),
            ((0x10, 0x20), b"LO", "ID"),
            ((0x20, 0xd), b"UI", "2.25.3"),
            ((0x20, 0xe), b"UI", "2.25.2"),
            (PHOTOMETRIC, b"CS", "MONOCHROME2"),
            (SLOPE, b"DS", "1"),
            (INTERCEPT, b"DS", "0"),
        ];
        let numbers = [
            (2, 1),
            (0x10, 1),
            (0x11, cells.len() as u16),
            (0x100, 16),
            (0x101, bits),
            (0x102, bits - 1),
            (0x103, u16::from(is_signed)),
        ];
        let file = texts.into_iter().fold(file, |file, (tag, vr, text)| file.with(tag, vr, text.as_bytes()));
        let file = numbers.into_iter().fold(file, |file, (tag, value)| file.us((0x28, tag), value));
        file.with((0x7fe0, 0x10), b"OW", &words(cells))
    }

    fn with(mut self, tag: Tag, vr: &[u8; 2], value: &[u8]) -> File {
        self.0.insert(tag, (*vr, value.to_vec()));
        self
    }

    fn ds(self, tag: Tag, text: &str) -> File {
        self.with(tag, b"DS", text.as_bytes())
    }

    fn us(self, tag: Tag, value: u16) -> File {
        self.with(tag, b"US", &value.to_le_bytes())
    }

    fn without(mut self, tag: Tag) -> File {
        self.0.remove(&tag);
        self
    }

    fn rescale(self, slope: Option<&str>, intercept: Option<&str>) -> File {
        let set = |file: File, tag, value: Option<&str>| match value {
            Some(value) => file.ds(tag, value),
            None => file.without(tag),
        };
        set(set(self, SLOPE, slope), INTERCEPT, intercept)
    }

    fn elements(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.iter().for_each(|(tag, (vr, value))| element(&mut bytes, *tag, vr, value));
        bytes
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&[0; 128][..], b"DICM"].concat();
        element(&mut bytes, (2, 0x10), b"UI", b"1.2.840.10008.1.2.1");
        bytes.extend(self.elements());
        bytes
    }

    fn row_of(&self, recipe: &Recipe, frame: u32, steps: usize) -> Result<Slice, Fault> {
        let pipeline = Pipeline::new(recipe, &key());
        let input = InputRef::memory(SourceId([1; 24]), self.bytes().into());
        let scratch = &mut Scratch::default();
        let decoded = pipeline.decode(&SliceRef { ordinal: Ordinal(0), input, frame }, scratch);
        let outcome = (1..=steps).fold(decoded, |outcome, step| pipeline.step(step, outcome, scratch));
        outcome.map_err(|reject| reject.fault)
    }

    /// HU after `hu_window` of recipe `head`, and the columns.
    fn row(&self) -> (Vec<i16>, Slice) {
        let slice = self.row_of(&Recipe::head(), 0, 1).expect("a row");
        self.row_of(&Recipe::head(), 0, 4).expect("a whole row");
        (slice.pixels.hu().expect("HU").iter().copied().collect(), slice)
    }

    fn hu(&self) -> Vec<i16> {
        self.row().0
    }

    fn repairs(&self) -> Vec<String> {
        repairs(&self.row().1)
    }

    fn reason(&self) -> Reason {
        self.row_of(&Recipe::head(), 0, 4).map(|_| ()).expect_err("no row").reason
    }
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn item(elements: &[u8]) -> Vec<u8> {
    [&[0xFE, 0xFF, 0x00, 0xE0][..], &(elements.len() as u32).to_le_bytes(), elements].concat()
}

fn repairs(slice: &Slice) -> Vec<String> {
    match slice.facts.get("repair") {
        Some(Value::ListText(words)) => words.clone(),
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn int(slice: &Slice, name: &str) -> i32 {
    match slice.facts.get(name) {
        Some(Value::Int32(value)) => *value,
        other => panic!("{name}: {other:?}"),
    }
}

fn is_plausible(slice: &Slice) -> bool {
    slice.facts.get("hu_plausible") == Some(&Value::Bool(true))
}

#[test]
fn a_rescale_is_two_finite_numbers_and_a_slope_that_is_not_zero() {
    let file = File::signed(&[1000, 40]);
    for (slope, intercept, hu) in [
        ("1", "-1024", [-24, -984]),
        ("2", "-1000", [1000, -920]),
        ("0.5", "0.25", [500, 20]),
        ("-1", "40", [-960, 0]),
        ("1.00000000000000000000000000", "-1024", [-24, -984]),
        ("1e0", "-1.02400000000000000E3", [-24, -984]),
        (" 1 ", "-1024  ", [-24, -984]),
        ("1\0", "-1024\0\0", [-24, -984]),
        ("+1.", "-.1024E4", [-24, -984]),
    ] {
        let file = file.clone().rescale(Some(slope), Some(intercept));
        assert_eq!((file.hu(), file.repairs()), (hu.to_vec(), vec![]), "{slope} {intercept}");
    }
    for wrong in ["NaN", "nan", "inf", "-Infinity", "1e400", "abc", "1,5", "1\\1", "1\\", "0x1", "1 0", "--1"] {
        for file in [file.clone().ds(SLOPE, wrong), file.clone().ds(INTERCEPT, wrong)] {
            assert_eq!(file.reason(), Reason::Rescale, "{wrong}");
        }
    }
    for zero in ["0", "-0", "0.0", "0e7", "1e-999"] {
        assert_eq!(file.clone().ds(SLOPE, zero).reason(), Reason::Rescale, "{zero}");
    }
}

#[test]
fn a_rescale_is_assumed_only_where_both_are_missing() {
    let file = File::signed(&[-1000, 40]);
    for none in [None, Some(""), Some("  ")] {
        let both = file.clone().rescale(none, none);
        assert_eq!((both.hu(), both.repairs()), (vec![-1000, 40], vec!["rescale_assumed".to_owned()]));
        assert_eq!(file.clone().rescale(Some("1"), none).reason(), Reason::Rescale);
        assert_eq!(file.clone().rescale(none, Some("0")).reason(), Reason::Rescale);
    }
}

#[test]
fn a_rescale_in_another_vr_is_the_number_it_is() {
    let file = File::signed(&[100, 40]);
    for (vr, slope) in [
        (b"FD", 2f64.to_le_bytes().to_vec()),
        (b"FL", 2f32.to_le_bytes().to_vec()),
        (b"US", 2u16.to_le_bytes().to_vec()),
        (b"SL", 2i32.to_le_bytes().to_vec()),
        (b"LO", b"2".to_vec()),
        (b"UN", b"2 ".to_vec()),
    ] {
        assert_eq!(file.clone().with(SLOPE, vr, &slope).hu(), [200, 80], "{vr:?}");
    }
    assert_eq!(file.clone().with(INTERCEPT, b"SS", &(-60i16).to_le_bytes()).hu(), [40, -20]);
    assert_eq!(file.clone().with(SLOPE, b"FD", &f64::NAN.to_le_bytes()).reason(), Reason::Rescale);
    assert_eq!(file.with(SLOPE, b"FD", &[0; 4]).reason(), Reason::Rescale);
}

/// The item of a functional group with these rescale attributes.
fn group(rescale: &[(Tag, &str)]) -> Vec<u8> {
    let mut inner = Vec::new();
    rescale.iter().for_each(|(tag, text)| element(&mut inner, *tag, b"DS", text.as_bytes()));
    let mut elements = Vec::new();
    if !rescale.is_empty() {
        element(&mut elements, TRANSFORMATION, b"SQ", &item(&inner));
    }
    item(&elements)
}

/// Two frames of two pixels, with rescale attributes of the shared and of each frame's groups.
fn two_frames(shared: &[(Tag, &str)], frames: [&[(Tag, &str)]; 2]) -> File {
    let file = File::signed(&[1, 2, 3, 4]).us((0x28, 0x11), 2).with((0x28, 8), b"IS", b"2");
    file.with(SHARED, b"SQ", &group(shared)).with(PER_FRAME, b"SQ", &frames.map(group).concat())
}

#[test]
fn slope_and_intercept_are_of_one_functional_group() {
    let pair = |slope, intercept| [(INTERCEPT, intercept), (SLOPE, slope)];
    let hu = |file: &File, frame| {
        let slice = file.row_of(&Recipe::head(), frame, 1)?;
        Ok::<_, Fault>(slice.pixels.hu()?.iter().copied().collect::<Vec<_>>())
    };
    let reason = |file: &File, frame| hu(file, frame).expect_err("no HU").reason;
    // Slope 1 and intercept 0 stand at the top level of all of these.
    let shared = two_frames(&pair("2", "10"), [&[], &[]]);
    assert_eq!((hu(&shared, 0), hu(&shared, 1)), (Ok(vec![12, 14]), Ok(vec![16, 18])));
    let each = two_frames(&[], [&pair("2", "10"), &pair("3", "20")]);
    assert_eq!((hu(&each, 0), hu(&each, 1)), (Ok(vec![12, 14]), Ok(vec![29, 32])));
    let one = two_frames(&[], [&pair("2", "10"), &[]]);
    assert_eq!((hu(&one, 0), reason(&one, 1)), (Ok(vec![12, 14]), Reason::Rescale));
    let mixed = two_frames(&[], [&[(SLOPE, "2")], &[(INTERCEPT, "10")]]);
    assert_eq!((reason(&mixed, 0), reason(&mixed, 1)), (Reason::Rescale, Reason::Rescale));
    let half_shared = two_frames(&[(SLOPE, "2")], [&[], &[]]);
    assert_eq!(reason(&half_shared, 0), Reason::Rescale);
    let bad = two_frames(&[], [&pair("2", "10"), &pair("0", "10")]);
    assert_eq!((hu(&bad, 0), reason(&bad, 1)), (Ok(vec![12, 14]), Reason::Rescale));
}

/// A Modality LUT in the place of the rescale.
fn with_lut(file: File, descriptor: [u16; 3], kind: &str, data: &[u8]) -> File {
    file.rescale(None, None).with(LUT_SEQUENCE, b"SQ", &lut(descriptor, kind, data))
}

fn lut(descriptor: [u16; 3], kind: &str, data: &[u8]) -> Vec<u8> {
    let mut elements = Vec::new();
    element(&mut elements, (0x28, 0x3002), b"US", &words(&descriptor));
    if !kind.is_empty() {
        element(&mut elements, (0x28, 0x3004), b"LO", kind.as_bytes());
    }
    element(&mut elements, (0x28, 0x3006), b"OW", data);
    item(&elements)
}

#[test]
fn a_modality_lut_of_type_hu_is_applied_exactly() {
    let unsigned = File::of(&[0, 9, 10, 11, 12, 13, 65535], 16, false);
    let file = with_lut(unsigned.clone(), [3, 10, 16], "HU", &words(&[5, 700, 30]));
    assert_eq!((file.hu(), file.repairs()), (vec![5, 5, 5, 700, 30, 30, 30], vec!["modality_lut".to_owned()]));
    assert_eq!(file.row().1.facts.get("rescale_slope"), None);
    assert!(file.row_of(&Recipe::seed(), 0, 1).is_err(), "the Python recipe knows no table");
    // The first value mapped has the sign of the pixels.
    let signed = File::signed(&[-32768, -2, -1, 0, 9]);
    let file = with_lut(signed.clone(), [3, -2i16 as u16, 16], "HU", &words(&[5, 700, 30]));
    assert_eq!(file.hu(), [5, 5, 700, 30, 30]);
    // 8 bits, packed or one to a word.
    for data in [&[5, 70, 30, 0][..], &[5, 0, 70, 0, 30, 0]] {
        assert_eq!(with_lut(signed.clone(), [3, -2i16 as u16, 8], "HU", data).hu(), [5, 5, 70, 30, 30]);
    }
    // 0 entries stand for 65,536.
    let whole: Vec<u16> = (0..=u16::MAX).map(|stored| stored / 4).collect();
    assert_eq!(with_lut(unsigned, [0, 0, 16], "HU", &words(&whole)).hu(), [0, 2, 2, 2, 3, 3, 16383]);
}

#[test]
fn a_modality_lut_that_is_not_well_formed_or_not_hu_is_a_reject() {
    let file = || File::of(&[0, 1, 2], 16, false);
    let good = words(&[5, 700, 30]);
    for (descriptor, data) in [
        ([4, 0, 16], &good[..]),
        ([2, 0, 16], &good),
        ([3, 0, 12], &good),
        ([3, 0, 8], &good),
        ([3, 0, 0], &good),
        ([0, 0, 16], &good),
        ([3, 0, 16], &[]),
        ([7, 0, 8], &good),
    ] {
        assert_eq!(with_lut(file(), descriptor, "HU", data).reason(), Reason::Rescale, "{descriptor:?}");
    }
    for kind in ["", "US", "OD", "hounsfield?", "Z_EFF"] {
        assert_eq!(with_lut(file(), [3, 0, 16], kind, &good).reason(), Reason::NotHounsfield, "{kind}");
    }
    let above = words(&[5, 40000, 30]);
    assert_eq!(with_lut(file(), [3, 0, 16], "HU", &above).reason(), Reason::HuRange);
    let two = [lut([3, 0, 16], "HU", &good), lut([3, 0, 16], "HU", &good)].concat();
    assert_eq!(file().rescale(None, None).with(LUT_SEQUENCE, b"SQ", &two).reason(), Reason::Rescale);
    let turned = with_lut(file(), [3, 0, 16], "HU", &good).with(PHOTOMETRIC, b"CS", b"MONOCHROME1");
    assert_eq!(turned.reason(), Reason::Rescale);
    for damaged in [&b"no sequence at all"[..], &two[..two.len() - 1], &[0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]] {
        let file = file().with(LUT_SEQUENCE, b"SQ", damaged);
        assert_eq!((file.hu(), file.repairs()), (vec![0, 1, 2], vec!["modality_lut_ignored".to_owned()]));
        assert_eq!(file.rescale(None, None).reason(), Reason::Rescale);
    }
    let one = with_lut(file(), [3, 0, 16], "HU", &good).ds(SLOPE, "1");
    assert_eq!(one.reason(), Reason::Rescale, "half a rescale beside it");
}

#[test]
fn a_rescale_beside_a_modality_lut_counts_and_says_so() {
    let file = File::signed(&[1, 2]).with(LUT_SEQUENCE, b"SQ", &lut([2, 0, 16], "HU", &words(&[7, 7])));
    assert_eq!((file.hu(), file.repairs()), (vec![1, 2], vec!["modality_lut_ignored".to_owned()]));
}

#[test]
fn what_is_not_hounsfield_units_is_a_reject() {
    let file = |kind: &str| File::signed(&[-1000, 40]).with(RESCALE_TYPE, b"LO", kind.as_bytes());
    for kind in ["HU", "HU ", "hu", "Hounsfield", "", " "] {
        assert_eq!((file(kind).hu(), file(kind).repairs()), (vec![-1000, 40], vec![]), "{kind}");
    }
    for kind in ["US", "UNSPECIFIED", "HU\\HU", "normalized"] {
        assert_eq!(file(kind).repairs(), ["hu_assumed"], "{kind}");
    }
    for kind in ["Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "MGML", "OD", "CTD", "z_eff "] {
        assert_eq!(file(kind).reason(), Reason::NotHounsfield, "{kind}");
        assert!(file(kind).row_of(&Recipe::seed(), 0, 4).is_err(), "{kind}");
    }
    let multi_energy = file("").with((0x18, 0x9361), b"CS", b"YES");
    assert_eq!(multi_energy.repairs(), ["hu_assumed"]);
    for map in ["EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "MAT_FRACTIONAL"] {
        let map = |kind| file(kind).with((8, 8), b"CS", format!("DERIVED\\PRIMARY\\AXIAL\\{map}").as_bytes());
        assert_eq!((map("").reason(), map("US").reason()), (Reason::NotHounsfield, Reason::NotHounsfield));
        assert_eq!(map("HU").repairs().len(), 0, "the type says so itself");
    }
}

/// HU, `padding_pixels`, repairs.
fn padded(file: &File) -> (Vec<i16>, i32, Vec<String>) {
    let (hu, slice) = file.row();
    (hu, int(&slice, "padding_pixels"), repairs(&slice))
}

#[test]
fn padding_becomes_air_whatever_it_is_written_in() {
    let pixels = File::signed(&[-2000, -1000, 0, 40]);
    for vr in [b"SS", b"US", b"OW", b"UN"] {
        let file = pixels.clone().with(PADDING, vr, &(-2000i16).to_le_bytes());
        assert_eq!(padded(&file), (vec![-1024, -1000, 0, 40], 1, vec![]), "{vr:?}");
    }
    // Twelve bits, unsigned, 0 for what was not seen; and its range, in either order.
    let twelve = File::of(&[0, 5, 24, 1064], 12, false).ds(INTERCEPT, "-1024");
    assert_eq!(padded(&twelve.clone().us(PADDING, 0)), (vec![-1024, -1019, -1000, 40], 1, vec![]));
    for (value, limit) in [(0, 5), (5, 0)] {
        let file = twelve.clone().us(PADDING, value).us(PADDING_LIMIT, limit);
        assert_eq!(padded(&file), (vec![-1024, -1024, -1000, 40], 2, vec![]));
    }
    // All of it.
    let all = File::signed(&[-2000; 3]).with(PADDING, b"SS", &(-2000i16).to_le_bytes());
    assert_eq!(padded(&all), (vec![-1024; 3], 3, vec![]));
    // Above every HU: no tissue either.
    let high = File::of(&[65535, 40], 16, false).us(PADDING, 65535);
    assert_eq!(padded(&high), (vec![-1024, 40], 1, vec![]));
}

#[test]
fn padding_with_more_bits_than_are_stored_is_the_whole_cell() {
    // -2000 as 16 bits is 0xF830; of its 12 bits 0x830 = 2096 are left, which is bone.
    let unsigned = File::of(&[0xF830, 0x0830, 1064], 12, false).ds(INTERCEPT, "-1024");
    assert_eq!(padded(&unsigned), (vec![1072, 1072, 40], 0, vec![]));
    let padding = |file: File, value: u16| padded(&file.us(PADDING, value));
    assert_eq!(padding(unsigned, 0xF830), (vec![-1024, 1072, 40], 1, vec![]));
    // Signed: 0xF830 is -2000 in 12 bits too, 0x830 as well; 0x8000 is nothing in 12 bits, and not 0.
    let signed = |cell| File::of(&[cell, 0, 40], 12, true);
    assert_eq!(padding(signed(0xF830), 0xF830), (vec![-1024, 0, 40], 1, vec![]));
    assert_eq!(padding(signed(0x0830), 0x0830), (vec![-1024, 0, 40], 1, vec![]));
    assert_eq!(padding(signed(0x8000), 0x8000), (vec![-1024, 0, 40], 1, vec![]));
}

#[test]
fn padding_that_may_be_tissue_is_ignored_and_says_so() {
    let file = File::signed(&[-2000, 0, 0, 40]);
    let ignored = vec!["padding_ignored".to_owned(), "below_air".to_owned()];
    assert_eq!(padded(&file.clone().us(PADDING, 0)), (vec![-1024, 0, 0, 40], 1, ignored.clone()));
    let range = file.clone().with(PADDING, b"SS", &(-2000i16).to_le_bytes()).us(PADDING_LIMIT, 100);
    assert_eq!(padded(&range), (vec![-1024, 0, 0, 40], 1, ignored));
    let all = File::signed(&[-1000, 0, 40]).with(PADDING, b"SS", &[0, 0x80]).us(PADDING_LIMIT, 0x7FFF);
    assert_eq!(padded(&all), (vec![-1000, 0, 40], 0, vec!["padding_ignored".to_owned()]));
    // No pixel has it: nothing to ignore.
    assert_eq!(padded(&File::signed(&[-1000, 40]).us(PADDING, 0)), (vec![-1000, 40], 0, vec![]));
    // Unreadable: counted, and none.
    let text = File::signed(&[-1000, 40]).ds(PADDING, "-1000 abc");
    assert_eq!(padded(&text), (vec![-1000, 40], 0, vec![]));
    assert_eq!(int(&text.row().1, "unreadable_attributes"), 1);
}

#[test]
fn rings_outside_the_field_of_view_become_air_and_are_counted() {
    let ring = File::signed(&[-2000, -3024, -1025, -1024, -1000, 40]);
    let below = vec!["below_air".to_owned()];
    assert_eq!(padded(&ring), (vec![-1024, -1024, -1024, -1024, -1000, 40], 3, below.clone()));
    let declared = ring.clone().with(PADDING, b"SS", &(-2000i16).to_le_bytes());
    assert_eq!(padded(&declared), (vec![-1024, -1024, -1024, -1024, -1000, 40], 3, below));
    // A slope below 0 turns the order.
    let turned = File::signed(&[2000, 1025, 1024, -40]).ds(SLOPE, "-1");
    assert_eq!((padded(&turned).0, padded(&turned).1), (vec![-1024, -1024, -1024, 40], 2));
    // The published recipe counts, and mends nothing.
    let seed = declared.row_of(&Recipe::seed(), 0, 1).expect("HU");
    assert_eq!((int(&seed, "padding_pixels"), repairs(&seed)), (3, vec![]));
}

#[test]
fn stored_values_outside_of_bits_stored_have_no_say() {
    // Overlay bits above the twelve.
    let file = File::of(&[0x1428, 0x2428, 0xF428, 0x0428], 12, false).ds(INTERCEPT, "-1024");
    assert_eq!((file.hu(), file.repairs()), (vec![40; 4], vec![]));
    let signed = File::of(&[0x1FFF, 0x2028], 12, true);
    assert_eq!(signed.hu(), [-1, 40]);
}

#[test]
fn monochrome1_is_turned_once_and_says_so() {
    let file = |slope| File::signed(&[999, -41]).ds(SLOPE, slope).with(PHOTOMETRIC, b"CS", b"MONOCHROME1");
    assert_eq!((file("1").hu(), file("1").repairs()), (vec![-1000, 40], vec!["monochrome1_turned".to_owned()]));
    // A slope below 0 turns them already.
    assert_eq!((file("-1").hu(), file("-1").repairs()), (vec![-999, 41], vec![]));
    let unsigned = File::of(&[4000, 3000], 12, false).rescale(Some("-1"), Some("3000"));
    assert_eq!(unsigned.clone().hu(), [-1000, 0]);
    assert_eq!(unsigned.with(PHOTOMETRIC, b"CS", b"MONOCHROME1").hu(), [-1000, 0]);
    // Its padding is turned with it, and no hole in bone.
    let padding = file("1").with(PADDING, b"SS", &(-41i16).to_le_bytes());
    assert_eq!(padded(&padding), (vec![-1000, 40], 0, vec!["monochrome1_turned".into(), "padding_ignored".into()]));
}

#[test]
fn hu_that_16_bits_do_not_hold_are_a_reject() {
    assert_eq!(File::of(&[40000], 16, false).reason(), Reason::HuRange);
    assert_eq!(File::signed(&[1000]).ds(SLOPE, "1e300").reason(), Reason::HuRange);
}

#[test]
fn windows_and_real_world_values_have_no_say_in_hu() {
    let file = File::signed(&[-1000, 0, 40, 3000]);
    let mut mapping = Vec::new();
    element(&mut mapping, (0x40, 0x9224), b"FD", &500f64.to_le_bytes());
    element(&mut mapping, (0x40, 0x9225), b"FD", &7f64.to_le_bytes());
    let recipe = Recipe::head();
    let tensor = |file: &File| file.row_of(&recipe, 0, 4).expect("a row");
    let plain = tensor(&file);
    for (center, width) in
        [("40", "80"), ("", ""), ("40", "0"), ("40", "-5"), ("0.5", "0.5"), ("1\\2\\3", "1"), ("x", "y")]
    {
        let file = file.clone().ds((0x28, 0x1050), center).ds((0x28, 0x1051), width);
        let file = file.with((0x28, 0x1040), b"CS", b"LOG").with((0x28, 0x1056), b"CS", b"SIGMOID");
        let file = file.with((0x40, 0x9096), b"SQ", &item(&mapping));
        let slice = tensor(&file);
        assert_eq!((&slice.pixels, &slice.facts.get("repair")), (&plain.pixels, &None), "{center} {width}");
        assert_eq!(int(&slice, "unreadable_attributes"), 0);
    }
}

/// Pixels, each so many times, in one row.
fn row_of(parts: &[(usize, std::ops::Range<i16>)]) -> Vec<i16> {
    let part = |(count, range): &(usize, std::ops::Range<i16>)| {
        let length = usize::from(range.end.abs_diff(range.start)).max(1);
        let start = range.start;
        (0..*count).map(move |n| start + (n * 7 % length) as i16).collect::<Vec<_>>()
    };
    parts.iter().flat_map(part).collect()
}

#[test]
fn numbers_that_were_never_rescaled_or_rescaled_twice_are_not_plausible() {
    let body = row_of(&[(500, -1020..-980), (300, -100..-60), (900, 0..80), (100, 200..1500)]);
    let plausible = |stored: &[i16]| is_plausible(&File::signed(stored).row().1);
    let shifted = |by: i16| body.iter().map(|&hu| (hu + by).max(if by > 0 { 0 } else { i16::MIN })).collect::<Vec<_>>();
    assert!(plausible(&body));
    assert!(!plausible(&shifted(1024)), "never rescaled");
    assert!(!plausible(&shifted(1000)), "never rescaled");
    assert!(!plausible(&shifted(-1024)), "rescaled twice");
    assert!(!plausible(&shifted(-1000)), "rescaled twice");
    // It is a mark, and the row stays: the HU are as the file has them.
    assert_eq!(File::signed(&shifted(1024)).hu()[0], 4);
}

#[test]
fn sound_slices_of_every_kind_are_plausible() {
    let plausible = |parts: &[(usize, std::ops::Range<i16>)]| is_plausible(&File::signed(&row_of(parts)).row().1);
    assert!(plausible(&[(2000, -1020..-980)]), "all air");
    assert!(plausible(&[(2000, -30..30)]), "all water");
    assert!(plausible(&[(2000, 0..1)]), "all 0");
    assert!(plausible(&[(1000, 0..60), (600, 200..1600)]), "a head that fills the frame");
    assert!(plausible(&[(1000, 300..1900)]), "all bone");
    assert!(plausible(&[(1000, 3071..3072)]), "all metal");
    assert!(plausible(&[(1000, -2000..-1999), (1000, -1020..-980)]), "a ring and air");
    assert!(plausible(&[(1000, -3024..-3023), (1000, -1020..-980), (9, 0..80)]), "a ring, air, a finger");
    assert!(plausible(&[(1500, -950..-700), (300, 0..80)]), "lung");
    assert!(plausible(&[(300, -1000..-999), (700, 900..1100)]), "a phantom of dense plastic in air");
}

#[test]
fn real_slices_are_plausible_and_their_padding_is_counted() {
    let Some(data) = real_data("") else { return };
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let row = |path: &Path| {
        let input = InputRef::file(SourceId([0; 24]), path);
        let scratch = &mut Scratch::default();
        let decoded = pipeline.decode(&SliceRef { ordinal: Ordinal(0), input, frame: 0 }, scratch);
        pipeline.step(1, decoded, scratch)
    };
    let mut files: Vec<PathBuf> = ["series/chest-ct", "series/ct-tilt-noise", "series/head-ct-tilt"]
        .iter()
        .chain(&["series/head-phantom-study/S21570/S2010", "syntax/chest-slice", "syntax/wg04-ct1", "hard"])
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).expect("can be listed"))
        .map(|entry| entry.expect("can be listed").path())
        .filter(|path| {
            path.is_file() && matches!(examine(&Bytes::File(path.clone()), &Recipe::head()), Examined::Ct(_))
        })
        .collect();
    files.sort();
    let mut count = 0;
    for path in files {
        let slice = row(&path).unwrap_or_else(|reject| panic!("{}: {}", path.display(), reject.fault));
        assert!(is_plausible(&slice), "{}", path.display());
        count += 1;
    }
    eprintln!("{count} real slices are plausible");
    for (path, padding, words) in [
        ("series/head-ct-tilt/0018.dcm", 62180, vec![]),
        ("syntax/chest-slice/explicit-le.dcm", 55772, vec!["below_air"]),
        ("syntax/wg04-ct1/explicit-le.dcm", 55772, vec![]),
        ("hard/padding-written-unsigned-tilt.dcm", 55772, vec![]),
        ("hard/head-j2k-sign-mismatch-tilt.dcm", 56587, vec!["below_air"]),
        ("hard/derived/head-ct-no-rescale.dcm", 62180, vec!["rescale_assumed"]),
        ("hard/derived/head-ct-monochrome1.dcm", 62180, vec!["monochrome1_turned", "padding_ignored", "below_air"]),
        ("hard/enhanced-ct-2-frames.dcm", 0, vec!["hu_assumed"]),
        ("hard/ct-sagittal-head-568x652.dcm", 0, vec!["hu_assumed"]),
    ] {
        let slice = row(&data.join(path)).expect("a row");
        eprintln!("{path}: {} {:?}", int(&slice, "padding_pixels"), repairs(&slice));
        assert_eq!(
            (int(&slice, "padding_pixels"), repairs(&slice)),
            (padding, words.into_iter().map(str::to_owned).collect()),
            "{path}"
        );
    }
}

/// The columns of a file with one odd element, which must not touch the pixels.
fn odd(tag: Tag, vr: &[u8; 2], value: &[u8]) -> Slice {
    let file = File::signed(&[-1000, 40]);
    let (hu, slice) = file.with(tag, vr, value).row();
    assert_eq!(hu, [-1000, 40], "{tag:x?}");
    slice
}

#[test]
fn an_odd_value_is_null_and_counted_and_never_rejects_a_slice() {
    let long = [b'1'; 300];
    for (tag, vr, value, column) in [
        ((0x18, 0x50), b"DS", &b"1e400"[..], "slice_thickness_mm"),
        ((0x18, 0x50), b"DS", b"5,0", "slice_thickness_mm"),
        ((0x18, 0x50), b"DS", b"-5", "slice_thickness_mm"),
        ((0x18, 0x50), b"US", b"5\0\0\0", "slice_thickness_mm"),
        ((0x18, 0x50), b"DS", &long, "slice_thickness_mm"),
        ((0x18, 0x60), b"DS", b"120kV", "kvp"),
        ((0x18, 0x60), b"DS", b"120\\140", "kvp"),
        ((0x18, 0x88), b"DS", b"five", "spacing_between_slices_mm"),
        ((0x18, 0x1120), b"DS", b"90", "gantry_detector_tilt_deg"),
        ((0x18, 0x1120), b"DS", b"abc", "gantry_detector_tilt_deg"),
        ((0x18, 0x1151), b"IS", b"NaN", "x_ray_tube_current_ma"),
        ((0x18, 0x9332), b"FD", &[0; 4], "exposure_mas"),
        ((0x18, 0x9330), b"FD", &[0xFF; 8], "x_ray_tube_current_ma"),
        ((0x20, 0x11), b"IS", b"99999999999", "series_number"),
        ((0x20, 0x12), b"IS", b"1.5", "acquisition_number"),
        ((0x20, 0x13), b"IS", b"1\\2", "instance_number"),
        ((0x20, 0x13), b"IS", b"12 34", "instance_number"),
        ((0x20, 0x32), b"DS", b"1\\2", "image_position_patient"),
        ((0x20, 0x32), b"DS", b"1\\2\\3\\4", "image_position_patient"),
        ((0x20, 0x37), b"DS", b"1\\0\\0\\0\\nan\\0", "image_orientation_patient"),
        ((0x20, 0x37), b"DS", b"2\\0\\0\\0\\1\\0", "image_orientation_patient"),
        ((0x20, 0x37), b"DS", b"1\\0\\0\\0.5\\0.8660254\\0", "image_orientation_patient"),
        ((0x20, 0x37), b"DS", b"0\\0\\0\\0\\0\\0", "image_orientation_patient"),
        ((0x20, 0x52), b"UI", b"not-a-uid", "frame_of_reference_key"),
        ((0x28, 0x30), b"DS", b"0\\0", "pixel_spacing_row_mm"),
        ((0x28, 0x30), b"DS", b"-1\\1", "pixel_spacing_row_mm"),
        ((0x28, 0x30), b"DS", b"0.5", "pixel_spacing_row_mm"),
        ((0x18, 0x5100), b"CS", b"upside down", "patient_position"),
        ((0x18, 0x15), b"CS", b"Sch\xC3", "body_part_examined"),
        ((0x8, 0x1090), b"LO", b"\x1B$B;3ED\x1B(B", "manufacturer_model_name"),
        ((0x18, 0x1210), b"SH", b"\x00\xFF", "convolution_kernel"),
        ((0x28, 0x2110), b"CS", b"maybe", "lossy_is_by_the_syntax"),
    ] {
        let slice = odd(tag, vr, value);
        assert_eq!(slice.facts.get(column), None, "{tag:x?}");
        assert_eq!(int(&slice, "unreadable_attributes"), 1, "{tag:x?} {:?}", String::from_utf8_lossy(value));
    }
}

#[test]
fn what_is_sound_or_blank_is_not_counted() {
    for (tag, vr, value, column) in [
        ((0x20, 0x37), b"DS", &b"0.71\\0.71\\0\\-0.71\\0.71\\0"[..], Some("image_orientation_patient")),
        ((0x18, 0x50), b"DS", b"5 ", Some("slice_thickness_mm")),
        ((0x18, 0x50), b"FD", &5f64.to_le_bytes(), Some("slice_thickness_mm")),
        ((0x18, 0x50), b"DS", b"  ", None),
        ((0x18, 0x50), b"DS", b"", None),
        ((0x20, 0x13), b"IS", b"00012 ", Some("instance_number")),
        ((0x8, 0x20), b"DA", b"00000000", None),
        ((0x10, 0x10), b"PN", b"\x1B$)C\xFB\xF3^\xD1\xCE=a\\b", None),
        ((0x8, 0x70), b"LO", b"Siemens\\Healthineers", Some("manufacturer")),
    ] {
        let slice = odd(tag, vr, value);
        assert_eq!(int(&slice, "unreadable_attributes"), 0, "{tag:x?}");
        if let Some(column) = column {
            assert!(slice.facts.get(column).is_some(), "{column}");
        }
    }
}

#[test]
fn character_sets_and_odd_bytes_do_not_touch_a_slice_or_its_patient() {
    let key_of = |set: &[u8], id: &[u8]| {
        let file = File::signed(&[-1000, 40]).with((8, 5), b"CS", set).with((0x10, 0x20), b"LO", id);
        let (hu, slice) = file.row();
        assert_eq!((hu, int(&slice, "unreadable_attributes")), (vec![-1000, 40], 0), "{id:?}");
        slice.facts.get("patient_key").cloned()
    };
    let ids: [&[u8]; 6] = [
        b"\xC5\xC1",                 // ISO_IR 144
        b"\x1B$B;3ED\x1B(B",         // ISO 2022 IR 87, with a backslash-free escape
        b"\xCD\xF5\xD0\xA1\x95\x5C", // GB18030, whose last byte is a backslash
        b"\xE7\x8E",                 // UTF-8, cut
        b"A\0B",
        b"A^B=\x83\x5C",
    ];
    for set in [&b"ISO_IR 100"[..], b"GB18030", b"\\ISO 2022 IR 87", b"ISO_IR 999", b"", b"a\\b\\c"] {
        let mut keys: Vec<String> = ids.iter().map(|id| format!("{:?}", key_of(set, id))).collect();
        assert!(keys.iter().all(|key| key != "None"));
        keys.dedup();
        assert_eq!(keys.len(), ids.len(), "each its own patient");
    }
}

#[test]
fn a_name_that_is_none_has_no_pseudonym_and_no_duplicates() {
    let sop = |value: &[u8]| File::signed(&[-1000, 40]).with((8, 0x18), b"UI", value);
    let found = |file: &File| match examine(&Bytes::Memory(file.bytes().into()), &Recipe::head()) {
        Examined::Ct(ct) => ct.sop_instance_uid,
        Examined::Not(fault) => panic!("{fault}"),
    };
    let longest = [b'1'; 64];
    assert_eq!(found(&sop(b"1.2.03")), Some("1.2.03".into()));
    assert_eq!(found(&sop(&longest)).map(|uid| uid.len()), Some(64));
    let long = [b"1.".repeat(200), b"7".to_vec()].concat();
    for wrong in [&b""[..], b"1..2", b".1", b"1.", b"1.2.a", b"1/../2", b"UNKNOWN", &[b'1'; 65], &long] {
        let file = sop(wrong);
        assert_eq!(found(&file), None);
        let (_, slice) = file.row();
        assert_eq!(slice.facts.get("sop_key"), None);
        assert_eq!(int(&slice, "unreadable_attributes"), i32::from(!wrong.is_empty()));
    }
    // Two patients whose ids differ behind what is kept are not taken for one.
    let patient = |last: u8| {
        let id = [vec![b'7'; 300], vec![last]].concat();
        File::signed(&[-1000, 40]).with((0x10, 0x20), b"LO", &id).row().1.facts.get("patient_key").cloned()
    };
    assert_eq!((patient(b'1'), patient(b'2')), (None, None));
}
