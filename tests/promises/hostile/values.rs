//! Lies in values: rescale, window, geometry, text, identifiers.

use dcmshard::reason::Reason;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::draft::{ITEM, Table, element};

pub fn cases() -> Table {
    let mut table = Table::default();
    rescale(&mut table);
    functional_groups(&mut table);
    geometry(&mut table);
    texts(&mut table);
    identifiers(&mut table);
    for (name, change) in window_lies() {
        table.row(&name, |draft| change.iter().fold(draft, |draft, (tag, vr, value)| draft.put(*tag, vr, value)));
    }
    table
}

fn rescale(table: &mut Table) {
    let no_number = ["NaN", "inf", "-inf", "1e400", "abc", "1,5", "1\\1", "0x10", "1d3", "--1", "1 2", "1e", "."];
    for (keyword, tag) in [("slope", tags::RESCALE_SLOPE), ("intercept", tags::RESCALE_INTERCEPT)] {
        for text in no_number {
            table.plan(&format!("{keyword} {text}"), Reason::Rescale, |draft| draft.text(tag, "DS", text));
        }
        table.plan(&format!("no {keyword}"), Reason::Rescale, |draft| draft.without(tag));
        table.plan(&format!("{keyword} empty"), Reason::Rescale, |draft| draft.text(tag, "DS", ""));
        table.plan(&format!("{keyword} of spaces"), Reason::Rescale, |draft| draft.text(tag, "DS", "    "));
        table.plan(&format!("{keyword} of letters beyond ASCII"), Reason::Rescale, |draft| {
            draft.put(tag, "DS", b"\xB1\xB2")
        });
        table.plan(&format!("{keyword} cut by a zero"), Reason::Rescale, |draft| draft.put(tag, "DS", b"1\x002 "));
        for value in [f64::NAN, f64::INFINITY] {
            table.plan(&format!("{keyword} FD {value}"), Reason::Rescale, |draft| {
                draft.put(tag, "FD", &value.to_le_bytes())
            });
        }
        table.plan(&format!("{keyword} of 6 FD bytes"), Reason::Rescale, |draft| draft.put(tag, "FD", &[0; 6]));
        table.plan(&format!("{keyword} of 100 kB"), Reason::Rescale, |draft| draft.put(tag, "UT", &[b'1'; 100_000]));
        table.slice(&format!("{keyword} 1e300"), Reason::HuRange, |draft| draft.text(tag, "DS", "1e300"));
        table.row(&format!("{keyword} of 17 digits"), |draft| draft.text(tag, "DS", "1.0000000000000000"));
        table.row(&format!("{keyword} -1e300"), |draft| draft.text(tag, "DS", "-1e300"));
        table.row(&format!("{keyword} 1e-320"), |draft| draft.text(tag, "DS", "1e-320"));
        table.row(&format!("{keyword} FD 2"), |draft| draft.put(tag, "FD", &2f64.to_le_bytes()));
    }
    for text in ["0", "-0", "0.0", "0e9", "1e-400"] {
        table.plan(&format!("slope {text}"), Reason::Rescale, |draft| draft.text(tags::RESCALE_SLOPE, "DS", text));
    }
    table.row("slope -1", |draft| draft.text(tags::RESCALE_SLOPE, "DS", "-1"));
    table.row("neither slope nor intercept", |draft| {
        draft.without(tags::RESCALE_SLOPE).without(tags::RESCALE_INTERCEPT)
    });
    table.slice("intercept 40000", Reason::HuRange, |draft| draft.text(tags::RESCALE_INTERCEPT, "DS", "40000"));
    let lut = element(ITEM, "", &element(Tag(0x28, 0x3002), "US", &[0xFF; 6]));
    table.plan("a table for slope and intercept", Reason::Rescale, |draft| {
        let draft = draft.without(tags::RESCALE_SLOPE).without(tags::RESCALE_INTERCEPT);
        draft.put(tags::MODALITY_LUT_SEQUENCE, "SQ", &lut)
    });
}

/// An item of functional groups with a rescale of its own.
fn group(slope: &[u8]) -> Vec<u8> {
    let values = [element(tags::RESCALE_INTERCEPT, "DS", b"0 "), element(tags::RESCALE_SLOPE, "DS", slope)];
    let transformation = element(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, "SQ", &element(ITEM, "", &values.concat()));
    element(ITEM, "", &transformation)
}

fn functional_groups(table: &mut Table) {
    let per_frame = tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE;
    let two = |draft: super::draft::Draft| {
        let draft = draft.text(tags::NUMBER_OF_FRAMES, "IS", "2").pixels(&[1; 256]);
        draft.without(tags::RESCALE_SLOPE).without(tags::RESCALE_INTERCEPT)
    };
    table.row("a rescale for each frame", |draft| two(draft).put(per_frame, "SQ", &group(b"2 ").repeat(2)));
    table.row("no rescale for the last frame", |draft| two(draft).put(per_frame, "SQ", &group(b"2 ")));
    table.slice("no rescale for the first frame", Reason::Rescale, |draft| {
        two(draft).put(per_frame, "SQ", &[element(ITEM, "", b""), group(b"2 ")].concat())
    });
    table.plan("slope 0 for each frame", Reason::Rescale, |draft| {
        two(draft).put(per_frame, "SQ", &group(b"0 ").repeat(2))
    });
    table.row("more groups than frames", |draft| two(draft).put(per_frame, "SQ", &group(b"2 ").repeat(50)));
    table.row("groups twice", |draft| {
        let groups = element(per_frame, "SQ", &group(b"2 ").repeat(2));
        two(draft).raw(per_frame, groups.repeat(2))
    });
}

fn geometry(table: &mut Table) {
    for (keyword, tag, values) in [
        ("pixel spacing", tags::PIXEL_SPACING, &["0\\0", "-1\\-1", "1", "abc", "1\\2\\3", "1e400\\1", "\\", ""][..]),
        (
            "orientation",
            tags::IMAGE_ORIENTATION_PATIENT,
            &[
                "0\\0\\0\\0\\0\\0",
                "9\\9\\9\\9\\9\\9",
                "1\\0\\0\\1\\0\\0",
                "NaN\\0\\0\\0\\1\\0",
                "1\\0",
                "1e300\\1e300\\0\\1e300\\1\\0",
            ],
        ),
        ("position", tags::IMAGE_POSITION_PATIENT, &["", "1\\2", "NaN\\0\\0", "1e308\\1e308\\1e308", "a\\b\\c"]),
        ("gantry tilt", tags::GANTRY_DETECTOR_TILT, &["90", "-1e300", "abc", "1e400"]),
        ("slice thickness", tags::SLICE_THICKNESS, &["0", "-5", "1e400", "3.00000000000000000000001"]),
        ("instance number", tags::INSTANCE_NUMBER, &["99999999999", "-99999999999", "1.5", "1e400", "2147483648", "x"]),
        ("series number", tags::SERIES_NUMBER, &["99999999999", "-2147483648", ""]),
        ("acquisition number", tags::ACQUISITION_NUMBER, &["99999999999", "abc"]),
        ("kvp", tags::KVP, &["NaN", "-1", "1\\2"]),
    ] {
        for value in values {
            table.row(&format!("{keyword} {value:?}"), |draft| draft.text(tag, "DS", value));
        }
    }
    table.row("no position", |draft| draft.without(tags::IMAGE_POSITION_PATIENT));
    table.row("no orientation", |draft| draft.without(tags::IMAGE_ORIENTATION_PATIENT));
    table.row("tube current of 3 bytes", |draft| draft.put(tags::X_RAY_TUBE_CURRENT_INM_A, "FD", &[1; 3]));
    table.row("padding of 4 bytes", |draft| draft.put(tags::PIXEL_PADDING_VALUE, "UL", &[0; 4]));
    table.row("a padding range without a value", |draft| draft.us(tags::PIXEL_PADDING_RANGE_LIMIT, 7));
    table.row("all is padding", |draft| {
        draft.us(tags::PIXEL_PADDING_VALUE, 0x8000).us(tags::PIXEL_PADDING_RANGE_LIMIT, 0x7FFF)
    });
}

/// Tag, VR, value.
type Lie = (Tag, &'static str, Vec<u8>);

/// Window attributes of all kinds; none of them may change a pixel.
pub fn window_lies() -> Vec<(String, Vec<Lie>)> {
    let (center, width) = (tags::WINDOW_CENTER, tags::WINDOW_WIDTH);
    let mut lies = Vec::new();
    for text in ["", "0 ", "-1", "0.5 ", "NaN ", "abc ", "1e400 ", "40\\80\\120 "] {
        lies.push((format!("window width {text:?}"), vec![(width, "DS", text.as_bytes().to_vec())]));
        lies.push((format!("window center {text:?}"), vec![(center, "DS", text.as_bytes().to_vec())]));
    }
    let both = |a: &[u8], b: &[u8]| vec![(center, "DS", a.to_vec()), (width, "DS", b.to_vec())];
    lies.push(("a sound window".into(), both(b"40", b"80")));
    lies.push(("windows of unequal counts".into(), both(b"40\\80 ", b"1\\2\\3 ")));
    lies.push(("a million windows".into(), vec![(center, "UT", b"1\\".repeat(1_000_000))]));
    lies.push(("a function that is none".into(), vec![(tags::VOILUT_FUNCTION, "CS", b"NONSENSE".to_vec())]));
    lies
}

fn texts(table: &mut Table) {
    let name = tags::PATIENT_NAME;
    for charset in [
        "NONSENSE",
        "",
        "ISO_IR 100",
        "ISO_IR 13",
        "GBK",
        "ISO 2022 IR 58",
        "\\ISO 2022 IR 13\\ISO 2022 IR 87",
        "ISO_IR 192",
        "ISO 2022 IR 87\\ISO 2022 IR 159",
        "\\ISO 2022 IR 149",
        "GB18030",
        "\\\\\\\\",
    ] {
        let label = format!("charset {charset}");
        table.row(&label, |draft| {
            draft.text(tags::SPECIFIC_CHARACTER_SET, "CS", charset).put(name, "PN", b"\x1B$B;3ED\x1B(B^\xE5\xB1 ")
        });
    }
    for (label, value) in [
        ("a name cut inside a character", &b"Jos\xC3"[..]),
        ("a name with zeros", b"A\0B\0C\0"),
        ("a name with a backslash inside a character", b"\x95\x5C\x8E\xA6"),
        ("a name in GB18030", b"\x81\x30\x81\x30\xCD\xF5"),
        ("a name of control characters", b"\x1B[31m\x07\x08\r\n "),
        ("a name of ones", b"\xFF\xFF\xFF\xFF"),
    ] {
        table.row(label, |draft| draft.put(name, "PN", value).put(tags::PATIENT_ID, "LO", value));
    }
    table.row("text of 60 kB everywhere", |draft| {
        let long = vec![b'A'; 60_000];
        let fields = [tags::MANUFACTURER, tags::MANUFACTURER_MODEL_NAME, tags::CONVOLUTION_KERNEL, tags::PATIENT_ID];
        fields.into_iter().fold(draft, |draft, tag| draft.put(tag, "LO", &long)).put(tags::IMAGE_TYPE, "CS", &long)
    });
    table.row("bytes that are no text everywhere", |draft| {
        let fields = [tags::MANUFACTURER, tags::MANUFACTURER_MODEL_NAME, tags::CONVOLUTION_KERNEL, tags::IMAGE_TYPE];
        fields.into_iter().fold(draft, |draft, tag| draft.put(tag, "LO", b"\xFF\xFE\\\xC3\\\\\0\x80"))
    });
    for date in ["00000000", "99999999", "2024-01-01", "abc"] {
        table.row(&format!("date {date}"), |draft| {
            draft.text(tags::STUDY_DATE, "DA", date).text(tags::STUDY_TIME, "TM", "999999.9999999999")
        });
    }
    table.row("an age that is none", |draft| draft.text(tags::PATIENT_AGE, "AS", "-99999Y"));
}

fn identifiers(table: &mut Table) {
    for (label, uid) in [
        ("of 200 digits", &b"2.25.1".repeat(34)[..]),
        ("a path", b"../../../../../../etc/passwd"),
        ("an absolute path", b"/etc/passwd\0"),
        ("a drive", b"C:\\Windows\\x.dcm"),
        ("zeros inside", b"2.25\0.77\0\0"),
        ("no text", b"\xFF\xFE\xFD\xFC"),
        ("empty", b""),
        ("a shell's words", b"$(touch x);`y`|z "),
    ] {
        table.row(&format!("instance uid {label}"), |draft| draft.put(tags::SOP_INSTANCE_UID, "UI", uid));
        table.row(&format!("series uid {label}"), |draft| draft.put(tags::SERIES_INSTANCE_UID, "UI", uid));
    }
    table.row("no instance uid", |draft| draft.without(tags::SOP_INSTANCE_UID));
    table.row("no study, no series, no patient", |draft| {
        let draft = draft.without(tags::STUDY_INSTANCE_UID).without(tags::SERIES_INSTANCE_UID);
        draft.without(tags::PATIENT_ID)
    });
}
