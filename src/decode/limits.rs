//! What a file may ask for at most. Above a limit the answer is reason `limit_exceeded`.
//!
//! The limits themselves are recipe keys, [`crate::recipe::LimitsKeys`]: which files become rows depends
//! on them. Here is what follows from them, and what changes no row.

use crate::reason::{Fault, Reason};

/// Data elements that each item of the functional groups brings, on the average.
pub(crate) const ELEMENTS_PER_FRAME: u32 = 256;
/// Bytes of a single-frame file that is read whole; larger ones are read piecewise.
pub(crate) const WHOLE_FILE_BYTES: u64 = 64 << 20;

/// The fault of a count above its limit: `what` names both, as "Rows (limits.side_px)".
pub(crate) fn exceeded(what: &str, found: u64, most: u64) -> Fault {
    Fault::new(Reason::LimitExceeded, format!("{what}: {found}, at most {most} are taken"))
}

/// The same of a length that the file tells, which is not repeated: where reading has lost its way, the
/// four bytes in its place are somebody's text.
pub(crate) fn exceeded_by_length(what: &str, most: u64) -> Fault {
    Fault::new(Reason::LimitExceeded, format!("{what}: at most {most} are taken"))
}

#[cfg(test)]
mod tests {
    use dicom_core::Tag;
    use dicom_dictionary_std::tags;

    use super::super::syntax::EXPLICIT_LE;
    use super::super::test_dicom::{Ct, DataSet, file};
    use super::super::{Decoder, Examined, examine};
    use crate::identity::{Key, SourceId};
    use crate::reason::{Fault, Reason};
    use crate::recipe::Recipe;
    use crate::slice::{Bytes, InputRef, Ordinal, SliceRef};
    use crate::stage::Scratch;

    const ITEM: Tag = Tag(0xFFFE, 0xE000);
    const PRIVATE: Tag = Tag(0x0009, 0x1001);
    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn by(setting: &str) -> Recipe {
        Recipe::from_toml("", &[setting.to_owned()]).expect("a recipe")
    }

    /// What the header pass says, and whether decoding says the same.
    fn planned(bytes: &[u8], recipe: &Recipe) -> Result<(), Fault> {
        let planned = match examine(&Bytes::Memory(bytes.into()), recipe) {
            Examined::Ct(_) => Ok(()),
            Examined::Not(fault) => Err(fault),
        };
        if planned.is_err() {
            assert_eq!(decoded(bytes, recipe), planned);
        }
        planned
    }

    fn decoded(bytes: &[u8], recipe: &Recipe) -> Result<(), Fault> {
        let input = InputRef::memory(SourceId([0; 24]), bytes.into());
        let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
        Decoder::new(recipe, &Key::new([1; 32])).decode(&at, &mut Scratch::default()).map(|_| ())
    }

    /// A sound file of 2 by 3 pixels that has these elements before its pixels.
    fn with(ct: Ct, elements: impl FnOnce(&mut DataSet) -> &mut DataSet) -> Vec<u8> {
        let pixels = vec![0; 12 * ct.frames.map_or(1, |frames| frames.parse().expect("a number"))];
        let mut set = ct.data_set(EXPLICIT_LE);
        elements(&mut set);
        set.put(tags::PIXEL_DATA, "OW", &pixels);
        file(EXPLICIT, &set.bytes)
    }

    #[test]
    fn every_limit_is_the_recipes_and_is_named() {
        fn nothing(set: &mut DataSet) -> &mut DataSet {
            set
        }
        let plain = || with(Ct::default(), nothing);
        let deep = with(Ct::default(), |set| {
            let mut inside = Vec::new();
            for _ in 0..3 {
                let mut outside = DataSet::new(EXPLICIT_LE);
                outside.head(PRIVATE, "SQ", u32::MAX).put(ITEM, "", &inside).head(Tag(0xFFFE, 0xE0DD), "", 0);
                inside = outside.bytes;
            }
            set.bytes.extend(inside);
            set
        });
        let items = with(Ct::default(), |set| {
            set.head(PRIVATE, "SQ", u32::MAX);
            for _ in 0..5 {
                set.head(ITEM, "", 0);
            }
            set.head(Tag(0xFFFE, 0xE0DD), "", 0)
        });
        let elements = with(Ct::default(), |set| {
            for _ in 0..60 {
                set.head(PRIVATE, "LO", 0);
            }
            set
        });
        let long = with(Ct::default(), |set| set.put(tags::MANUFACTURER, "LO", &[32; 300]));
        for (key, less, enough, bytes) in [
            ("file_bytes", "1024", "2500", with(Ct::default(), |set| set.put(PRIVATE, "OB", &[0; 1000]))),
            ("header_bytes", "1024", "2500", with(Ct::default(), |set| set.put(PRIVATE, "OB", &[0; 1000]))),
            ("value_bytes", "256", "300", long),
            ("elements", "64", "128", elements),
            ("depth", "2", "3", deep),
            ("items", "4", "5", items),
            ("side_px", "2", "3", plain()),
            ("frames", "1", "2", with(Ct { frames: Some("2"), ..Ct::default() }, nothing)),
            ("frame_bytes", "11", "12", plain()),
            ("decoded_bytes", "23", "24", with(Ct { frames: Some("2"), ..Ct::default() }, nothing)),
        ] {
            let fault = planned(&bytes, &by(&format!("limits.{key}={less}"))).expect_err(key);
            assert_eq!(fault.reason, Reason::LimitExceeded, "{fault}");
            assert!(fault.detail.contains(&format!("limits.{key}")), "{key}: {fault}");
            assert_eq!(planned(&bytes, &by(&format!("limits.{key}={enough}"))), Ok(()), "{key}");
        }
    }

    #[test]
    fn fragments_are_counted_where_they_are_read() {
        let mut set = Ct::default().data_set(EXPLICIT_LE);
        set.head(tags::PIXEL_DATA, "OB", u32::MAX);
        for _ in 0..4 {
            set.head(ITEM, "", 0);
        }
        set.head(Tag(0xFFFE, 0xE0DD), "", 0);
        let bytes = file("1.2.840.10008.1.2.5", &set.bytes);
        let fault = decoded(&bytes, &by("limits.fragments=2")).expect_err("three");
        assert_eq!(fault.detail, "fragments (limits.fragments): 3, at most 2 are taken");
        assert_eq!(decoded(&bytes, &Recipe::head()).expect_err("no RLE header").reason, Reason::DecodeFailed);
    }

    fn deflated() -> Vec<u8> {
        let bytes = with(Ct::default(), |set| set.put(PRIVATE, "OB", &[0; 1000]));
        let data_set = Ct::default().data_set(EXPLICIT_LE).bytes;
        let start = bytes.windows(data_set.len()).position(|part| part == data_set).expect("there");
        file("1.2.840.10008.1.2.1.99", &super::super::test_dicom::deflate(&bytes[start..]))
    }

    #[test]
    fn inflated_bytes_are_limited() {
        let fault = decoded(&deflated(), &by("limits.inflated_bytes=1024")).expect_err("more");
        assert!(fault.detail.starts_with("inflated bytes (limits.inflated_bytes): "), "{fault}");
        assert_eq!(decoded(&deflated(), &Recipe::head()), Ok(()));
    }

    #[test]
    fn a_long_value_that_nobody_reads_costs_no_slice() {
        let bytes = with(Ct::default(), |set| set.put(PRIVATE, "OB", &[7; 5 << 20]));
        assert_eq!(planned(&bytes, &Recipe::head()), Ok(()));
    }

    #[test]
    fn a_codec_that_is_left_out_is_never_called() {
        let of = |uid: &str| {
            let mut set = Ct::default().data_set(EXPLICIT_LE);
            set.head(tags::PIXEL_DATA, "OB", u32::MAX).head(ITEM, "", 0).put(ITEM, "", b"abcd");
            file(uid, &set.head(Tag(0xFFFE, 0xE0DD), "", 0).bytes)
        };
        for (codec, bytes) in [
            ("deflate", deflated()),
            ("rle", of("1.2.840.10008.1.2.5")),
            ("jpeg", of("1.2.840.10008.1.2.4.51")),
            ("jpeg-lossless", of("1.2.840.10008.1.2.4.70")),
            ("jpeg-ls", of("1.2.840.10008.1.2.4.80")),
            ("jpeg-2000", of("1.2.840.10008.1.2.4.203")),
            ("jpeg-xl", of("1.2.840.10008.1.2.4.110")),
        ] {
            let fault = planned(&bytes, &by("decode.codecs=[]")).expect_err(codec);
            assert_eq!(fault.reason, Reason::TransferSyntax, "{codec}: {fault}");
            assert!(fault.detail.contains(&format!("{codec:?}, which decode.codecs leaves out")), "{fault}");
            assert_eq!(planned(&bytes, &by(&format!("decode.codecs=[{codec:?}]"))), Ok(()), "{codec}");
        }
        assert_eq!(planned(&with(Ct::default(), |set| set), &by("decode.codecs=[]")), Ok(()));
    }

    #[test]
    fn what_is_no_ct_is_filtered_though_its_codec_is_left_out() {
        let mut set = DataSet::new(EXPLICIT_LE);
        set.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.4");
        let bytes = file("1.2.840.10008.1.2.4.110", &set.bytes);
        let found = examine(&Bytes::Memory(bytes.into()), &by("decode.codecs=[]"));
        assert!(matches!(found, Examined::Not(fault) if fault.reason == Reason::NotCtImage));
    }
}
