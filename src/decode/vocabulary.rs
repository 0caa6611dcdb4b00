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
    "Tomoscan",
    "slice",
];

/// Letters that stand for a variant in the names of CT scanners.
const MODEL_VARIANTS: &[&str] =
    &["A", "AS", "DS", "E", "FX", "I", "LX", "NX", "P", "QXi", "RT", "S", "SL", "SP", "VX", "X", "XR", "XT"];

/// Numbers in the names of CT scanners: slices, and the makers' own. A year, a date or an id is none.
const MODEL_NUMBERS: &[&str] = &[
    "1", "2", "3", "4", "6", "8", "10", "16", "20", "24", "32", "40", "50", "60", "64", "80", "128", "160", "256",
    "320", "384", "510", "520", "528", "530", "540", "550", "560", "570", "580", "590", "640", "660", "670", "680",
    "690", "710", "728", "750", "760", "780", "820", "840", "850", "860", "960", "968", "5000", "6000", "8000", "9000",
];

/// Kernels that are called by letters alone.
const KERNEL_LETTERS: &[&str] = &[
    "A", "B", "C", "D", "E", "F", "L", "EA", "EB", "EC", "SA", "SB", "SC", "SD", "UA", "UB", "UC", "UD", "YA", "YB",
    "YC", "YD", "YE",
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

/// A reconstruction kernel: the first value, where it is a word of the vocabulary or a code such as
/// `H31s`, `Br40d`, `FC21`, `UB`, `11`, with a mark of strength. Upper and lower case are kept: they
/// differ in meaning.
pub(crate) fn convolution_kernel(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text.split(|&byte| byte == b'\\').next()?).ok()?.trim();
    let known = KERNELS.iter().any(|known| known.eq_ignore_ascii_case(text));
    (known || is_kernel_code(text)).then(|| text.to_owned())
}

/// Whether every letter of a kernel's code is spoken for: one of the list, two digits, `FC` or `FL` and
/// two digits, or a body region, a style, two digits and a dose. No name, age or id has these forms.
fn is_kernel_code(text: &str) -> bool {
    let text = text.trim_end_matches(['+', '-']);
    let digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    match text.as_bytes() {
        _ if KERNEL_LETTERS.contains(&text) => true,
        [b'F', b'C' | b'L', number @ ..] | number @ [_, _] if number.len() == 2 && digits(number) => true,
        [region, rest @ ..] if b"ABCDEHIJKQSTU".contains(region) => {
            let rest = match rest {
                [style, rest @ ..] if b"cefhlnpruv".contains(style) => rest,
                rest => rest,
            };
            match rest {
                [a, b] => digits(&[*a, *b]),
                [a, b, dose] => digits(&[*a, *b]) && b"dfhmnsu".contains(dose),
                _ => false,
            }
        }
        _ => false,
    }
}

/// The model of a scanner, where its first word is in the vocabulary, and each of the others too, or a
/// variant or number of the lists; two numbers at most.
pub(crate) fn manufacturer_model_name(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split([' ', '-', '/', '+', '_']).filter(|word| !word.is_empty());
    let in_list = |list: &[&str], word: &str| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    let is_type = |word: &str| in_list(MODEL_VARIANTS, word) || is_model_number(word);
    let known = |word: &str| in_list(MODEL_WORDS, word) || is_type(word);
    let first = words.next().is_some_and(|word| in_list(MODEL_WORDS, word));
    let numbers = words.clone().filter(|word| is_model_number(word)).count();
    (first && text.len() <= 32 && numbers <= 2 && words.all(known)).then(|| text.to_owned())
}

/// A number of the list, with `CT` in front or a letter behind.
fn is_model_number(word: &str) -> bool {
    let number = word.strip_prefix("CT").unwrap_or(word);
    MODEL_NUMBERS.contains(&number.strip_suffix(|c: char| c.is_ascii_uppercase()).unwrap_or(number))
}

/// A UID of the DICOM standard, which is nobody's own.
pub(crate) fn standard_uid(text: &[u8]) -> Option<String> {
    uid(text).filter(|uid| uid.starts_with("1.2.840.10008."))
}

/// A UID: numbers with points between them, at most 64 bytes (PS3.5 section 9.1; a number may start with 0
/// here, since scanners write such).
pub(crate) fn uid(text: &[u8]) -> Option<String> {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_uid = text.len() <= 64 && text.split(|&byte| byte == b'.').all(is_number);
    is_uid.then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_does_not_pass() {
        for kernel in ["H31s", "B30f", "Br40d", "STANDARD", "BONEPLUS", "FC21", "UB", "D", "STD+", "I70f", "11"] {
            assert_eq!(convolution_kernel(kernel.as_bytes()), Some(kernel.into()));
        }
        for text in ["Doe", "DOE^JOHN", "DOE1234", "H31s DOE", "", "Smith", "\\B30f"] {
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
        assert_eq!(standard_uid(b"1.2.840.10008.5.1.4.1.1.2"), Some("1.2.840.10008.5.1.4.1.1.2".into()));
        assert_eq!(standard_uid(b"1.2.840.113619.2.5"), None);
    }

    #[test]
    fn names_dates_ages_and_ids_are_no_model_and_no_kernel() {
        for text in
            ["1945-03-12", "19 45 03 12", "12/03/45", "1234-5678", "Li Wu", "J D 1945", "CT 1945", "CT 03 12 45"]
        {
            assert_eq!(manufacturer_model_name(text.as_bytes()), None, "{text}");
        }
        for text in ["Li", "Wu", "JD", "DOE12", "087Y", "45F", "Jo45ab", "1945", "123", "F1"] {
            assert_eq!(convolution_kernel(text.as_bytes()), None, "{text}");
        }
        for model in [
            "Sensation 64",
            "Brilliance iCT 256",
            "uCT 760",
            "LightSpeed VCT",
            "Aquilion ONE",
            "iCT 128",
            "Mx8000 IDT 16",
        ] {
            assert_eq!(manufacturer_model_name(model.as_bytes()), Some(model.into()));
        }
    }

    #[test]
    fn the_first_of_several_kernels_counts() {
        assert_eq!(convolution_kernel(b"Br40d\\3"), Some("Br40d".into()));
        assert_eq!(convolution_kernel(b"Doe\\B30f"), None);
    }
}
