//! Which texts of a data set may become values of a column: words of a closed vocabulary, or short
//! codes without free text. Everything else is null.

/// Maker's names as they stand in archives, by what they contain, and the word for each.
const MANUFACTURERS: &[(&str, &str)] = &[
    ("SIEMENS", "SIEMENS"),
    ("GE MEDICAL", "GE MEDICAL SYSTEMS"),
    ("GE HEALTHCARE", "GE MEDICAL SYSTEMS"),
    ("GENERAL ELECTRIC", "GE MEDICAL SYSTEMS"),
    ("IMATRON", "IMATRON"),
    ("PHILIPS", "PHILIPS"),
    ("MARCONI", "MARCONI"),
    ("PICKER", "PICKER"),
    ("ELSCINT", "ELSCINT"),
    ("TOSHIBA", "TOSHIBA"),
    ("CANON", "CANON"),
    ("HITACHI", "HITACHI"),
    ("FUJI", "FUJIFILM"),
    ("SHIMADZU", "SHIMADZU"),
    ("NEUSOFT", "NEUSOFT"),
    ("UNITED IMAGING", "UNITED IMAGING"),
    ("UIH", "UNITED IMAGING"),
    ("NEUROLOGICA", "NEUROLOGICA"),
    ("SAMSUNG", "SAMSUNG"),
    ("MINFOUND", "MINFOUND"),
    ("CARESTREAM", "CARESTREAM"),
    ("PLANMECA", "PLANMECA"),
    ("MEDTRONIC", "MEDTRONIC"),
];

/// Body Part Examined: defined terms of PS3.16 annex L that occur in CT.
const BODY_PARTS: &[&str] = &[
    "ABDOMEN",
    "ABDOMENPELVIS",
    "ANKLE",
    "AORTA",
    "ARM",
    "BRAIN",
    "CHEST",
    "CHESTABDOMEN",
    "CHESTABDPELVIS",
    "CSPINE",
    "EAR",
    "ELBOW",
    "EXTREMITY",
    "EYE",
    "FACE",
    "FOOT",
    "HAND",
    "HEAD",
    "HEADNECK",
    "HEART",
    "HIP",
    "JAW",
    "KIDNEY",
    "KNEE",
    "LEG",
    "LIVER",
    "LSPINE",
    "LUNG",
    "MAXILLA",
    "MEDIASTINUM",
    "NECK",
    "NECKCHEST",
    "NECKCHESTABDOMEN",
    "NECKCHESTABDPELV",
    "ORBIT",
    "PANCREAS",
    "PELVIS",
    "SHOULDER",
    "SINUS",
    "SKULL",
    "SPINE",
    "SSPINE",
    "TSPINE",
    "WHOLEBODY",
    "WRIST",
    "ZYGOMA",
];

/// Patient Position (0018,5100), PS3.3 C.7.3.1.1.2.
const PATIENT_POSITIONS: &[&str] = &["HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"];

/// Photometric Interpretations of the slices that become rows.
const PHOTOMETRIC: &[&str] = &["MONOCHROME1", "MONOCHROME2"];

fn word(text: &[u8], vocabulary: &[&'static str]) -> Option<&'static str> {
    vocabulary.iter().find(|word| word.as_bytes().eq_ignore_ascii_case(text)).copied()
}

/// The maker's word, `other` for one that is not in the vocabulary.
pub(crate) fn manufacturer(text: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(text).to_ascii_uppercase();
    let known = MANUFACTURERS.iter().find(|(part, _)| text.contains(part)).map(|(_, word)| *word);
    known.unwrap_or(if text == "GE" { "GE MEDICAL SYSTEMS" } else { "other" })
}

/// The defined term, upper case.
pub(crate) fn body_part(text: &[u8]) -> Option<&'static str> {
    word(text, BODY_PARTS)
}

/// The defined term.
pub(crate) fn patient_position(text: &[u8]) -> Option<&'static str> {
    word(text, PATIENT_POSITIONS)
}

/// The defined term.
pub(crate) fn photometric_interpretation(text: &[u8]) -> Option<&'static str> {
    word(text, PHOTOMETRIC)
}

/// A code of 1 to 32 characters of `[A-Za-z0-9 ._+/-]`.
pub(crate) fn short_code(text: &[u8]) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b" ._+/-".contains(byte);
    ((1..=32).contains(&text.len()) && text.iter().all(allowed)).then(|| String::from_utf8_lossy(text).into_owned())
}

/// A code string: 1 to 16 characters of `[A-Z0-9_ ]`.
pub(crate) fn code_string(text: &[u8]) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b' ');
    ((1..=16).contains(&text.len()) && text.iter().all(allowed)).then(|| String::from_utf8_lossy(text).into_owned())
}

/// A UID: digits and points, at most 64.
pub(crate) fn uid(text: &[u8]) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    ((1..=64).contains(&text.len()) && text.iter().all(allowed)).then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_does_not_pass() {
        assert_eq!(short_code(b"H30s"), Some("H30s".into()));
        assert_eq!(short_code(b"Doe^John"), None);
        assert_eq!(short_code(&[b'a'; 33]), None);
        assert_eq!(code_string(b"AXIAL"), Some("AXIAL".into()));
        assert_eq!(code_string(b"Axial"), None);
        assert_eq!(body_part(b"head"), Some("HEAD"));
        assert_eq!(body_part(b"HEAD OF MR DOE"), None);
        assert_eq!(manufacturer(b"Siemens Healthineers"), "SIEMENS");
        assert_eq!(manufacturer(b"St. Mary's Hospital"), "other");
        assert_eq!(uid(b"1.2/../3"), None);
    }
}
