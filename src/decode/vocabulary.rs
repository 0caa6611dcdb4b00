//! Which texts of a data set may become values of a column: words of a closed vocabulary, or codes
//! of a form that no name has. Everything else is null.

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

/// Values of Image Type and Frame Type that occur in CT: PS3.3 C.8.2.1.1.1, C.8.15.2 and C.8.16.1,
/// and what the large makers write.
const IMAGE_TYPE_VALUES: &[&str] = &[
    "ORIGINAL",
    "DERIVED",
    "MIXED",
    "PRIMARY",
    "SECONDARY",
    "AXIAL",
    "LOCALIZER",
    "VOLUME",
    "HELIX",
    "HELICAL",
    "SPIRAL",
    "SEQUENCE",
    "ADD",
    "NONE",
    "REFORMATTED",
    "MPR",
    "MIP",
    "MINIP",
    "CPR",
    "AVERAGE",
    "CORONAL",
    "SAGITTAL",
    "OBLIQUE",
    "RESAMPLED",
    "FILTERED",
    "MAX_IP",
    "MIN_IP",
    "CT_SOM5 SPI",
    "CT_SOM5 SEQ",
    "CT_SOM5 TOP",
    "CT_SOM7 SPI",
    "CT_SOM7 SEQ",
    "CT_SOM8 SPI",
    "CT_SOM8 SEQ",
    "SCREEN SAVE",
    "REF_SURVIEW",
    "DOSE_INFO",
    "ANGIO",
    "CARDIAC",
    "PERFUSION",
    "RCBF",
    "RCBV",
    "MTT",
    "TTP",
    "DUAL_ENERGY",
    "MONOENERGETIC",
    "MONO_E",
    "VNC",
    "EFF_Z",
    "DIXON",
    "ATTENUATION",
    "WHOLE BODY",
    "DYNAMIC",
    "GATED",
    "STATIC",
    "FLUORO",
    "CARDIAC_GATED",
    "CALCIUM",
    "ENERGY_PROP_WT",
    "QUANTITY",
];

/// Words that reconstruction kernels are called by.
const KERNELS: &[&str] = &[
    "STANDARD",
    "STND",
    "STD",
    "STD+",
    "SOFT",
    "SOFT+",
    "DETAIL",
    "LUNG",
    "LUNG+",
    "BONE",
    "BONE+",
    "BONEPLUS",
    "BONE PLUS",
    "EDGE",
    "EDGE+",
    "ULTRA",
    "CHST",
    "CHST+",
    "CHEST",
    "HEAD",
    "BODY",
    "BRAIN",
    "SMOOTH",
    "SHARP",
    "DTL",
    "STND+",
    "BODY SHARP",
    "BODY SOFT",
    "HD EDGE",
    "HD LUNG",
    "HDSTND",
    "HDDTL",
    "HDBONE",
    "IMR1",
    "IMR2",
    "IMR3",
];

/// Words of the names of CT scanners.
const MODEL_WORDS: &[&str] = &[
    "SOMATOM",
    "Definition",
    "Sensation",
    "Emotion",
    "Volume",
    "Zoom",
    "Spirit",
    "Perspective",
    "Scope",
    "Force",
    "Drive",
    "Flash",
    "Edge",
    "Plus",
    "go",
    "Now",
    "Top",
    "Open",
    "Pro",
    "All",
    "Sim",
    "Confidence",
    "NAEOTOM",
    "Alpha",
    "Biograph",
    "Horizon",
    "Vision",
    "Balance",
    "Duo",
    "Symbia",
    "LightSpeed",
    "BrightSpeed",
    "HiSpeed",
    "ProSpeed",
    "HiLight",
    "Advantage",
    "Discovery",
    "Optima",
    "Revolution",
    "Apex",
    "Frontier",
    "Ascend",
    "EVO",
    "Maxima",
    "Elite",
    "Select",
    "Ultra",
    "QX",
    "Dual",
    "Series",
    "Speed",
    "VCT",
    "CT",
    "HD",
    "ES",
    "GSI",
    "Brilliance",
    "Big",
    "Bore",
    "iCT",
    "Elite",
    "Ingenuity",
    "IQon",
    "Spectral",
    "Incisive",
    "Access",
    "MX",
    "Mx8000",
    "IDT",
    "Gemini",
    "GXL",
    "TF",
    "Vereos",
    "Precedence",
    "Aquilion",
    "ONE",
    "PRIME",
    "Lightning",
    "Start",
    "Genesis",
    "Precision",
    "Asteion",
    "Alexion",
    "Activion",
    "Xpress",
    "Xvision",
    "Supria",
    "Scenaria",
    "Eclos",
    "Pronto",
    "Radix",
    "uCT",
    "NeuViz",
    "Prime",
    "Glory",
    "CereTom",
    "BodyTom",
    "OmniTom",
    "NExCT",
    "Imatron",
    "Evolution",
    "C",
    "Anatom",
    "ScintCare",
    "Ultimax",
    "Twin",
    "Helicat",
    "AcQSim",
    "PQ",
    "Ultra",
    "Evolution",
    "Tomoscan",
];

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

/// A value of Image Type, `OTHER` for one that is not in the vocabulary: scanners and people write
/// what they like there.
pub(crate) fn image_type_value(text: &[u8]) -> &'static str {
    word(text, IMAGE_TYPE_VALUES).unwrap_or("OTHER")
}

/// A reconstruction kernel: a word of the vocabulary, or a code such as `H31s`, `Br40d`, `FC21`,
/// `UB`: letters (at most 3), digits (at most 3), letters (at most 2), with a mark of strength.
/// Upper and lower case are kept: they differ in meaning.
pub(crate) fn convolution_kernel(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let known = KERNELS.iter().any(|known| known.eq_ignore_ascii_case(text));
    (known || is_kernel_code(text)).then(|| text.to_owned())
}

/// Whether every letter of a kernel's code is spoken for. Two letters alone pass, three do not: no
/// name does.
fn is_kernel_code(text: &str) -> bool {
    let text = text.trim_end_matches(['+', '-']);
    let letters = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let digits = letters.trim_start_matches(|c: char| c.is_ascii_digit());
    let (first, number, last) = (text.len() - letters.len(), letters.len() - digits.len(), digits.len());
    let last_is_letters = digits.bytes().all(|byte| byte.is_ascii_alphabetic());
    let code = first <= 3 && (1..=3).contains(&number) && last <= 2 && last_is_letters;
    code || ((1..=2).contains(&first) && number == 0 && last == 0)
}

/// The model of a scanner, where each of its words is in the vocabulary or a type number (at most 3
/// letters beside digits, or at most 2 letters).
pub(crate) fn manufacturer_model_name(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let known = |word: &str| MODEL_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) || is_type_number(word);
    let words = text.split([' ', '-', '/', '+', '_']).filter(|word| !word.is_empty());
    (text.len() <= 32 && !text.is_empty() && words.into_iter().all(known)).then(|| text.to_owned())
}

fn is_type_number(word: &str) -> bool {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    letters + digits == word.len() && digits <= 4 && (letters <= 2 || (letters <= 3 && digits > 0))
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
        for kernel in ["H31s", "B30f", "Br40d", "STANDARD", "BONEPLUS", "FC21", "UB", "D", "STD+", "I70f", "11"] {
            assert_eq!(convolution_kernel(kernel.as_bytes()), Some(kernel.into()));
        }
        for text in ["Doe", "DOE^JOHN", "DOE1234", "H31s DOE", "", "Smith"] {
            assert_eq!(convolution_kernel(text.as_bytes()), None, "{text}");
        }
        for model in
            ["Brilliance 16P", "SOMATOM Definition AS+", "HiSpeed CT/i", "Discovery CT750 HD", "Optima CT520 Series"]
        {
            assert_eq!(manufacturer_model_name(model.as_bytes()), Some(model.into()));
        }
        for text in ["Dr Miller's scanner", "Doe", "SOMATOM DOE", "19450312", ""] {
            assert_eq!(manufacturer_model_name(text.as_bytes()), None, "{text}");
        }
        assert_eq!(image_type_value(b"AXIAL"), "AXIAL");
        assert_eq!(image_type_value(b"DOE JOHN"), "OTHER");
        assert_eq!(body_part(b"head"), Some("HEAD"));
        assert_eq!(body_part(b"HEAD OF MR DOE"), None);
        assert_eq!(manufacturer(b"Siemens Healthineers"), "SIEMENS");
        assert_eq!(manufacturer(b"St. Mary's Hospital"), "other");
        assert_eq!(uid(b"1.2/../3"), None);
    }
}
