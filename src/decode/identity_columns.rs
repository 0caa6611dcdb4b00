//! Columns of the group identity: which slice this is, without saying whose.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::filling::Filling;
use super::vocabulary;
use crate::column::{Column, Kind};
use crate::identity::Key;
use crate::recipe::Privacy;
use crate::slice::SliceRef;

static SOURCE_ID: Column = Column::required(
    "source_id",
    Kind::Text,
    "Keyed HMAC of the input's path (48 hex digits); finds it in OUT.private.",
);
static FRAME: Column = Column::required("frame", Kind::Int32, "The slice's frame in its input, from 0.");
static CONTENT_ID: Column = Column::required(
    "content_id",
    Kind::Text,
    "Keyed HMAC of the BLAKE3 hash of all bytes of the input (32 hex digits).",
);
static PATIENT_KEY: Column = Column::new(
    "patient_key",
    Kind::Text,
    "Keyed HMAC of Patient ID (0010,0020) and Issuer of Patient ID (0010,0021) (32 hex digits).",
);
static STUDY_KEY: Column =
    Column::new("study_key", Kind::Text, "Keyed HMAC of Study Instance UID (0020,000D) (32 hex digits).");
static SERIES_KEY: Column =
    Column::new("series_key", Kind::Text, "Keyed HMAC of Series Instance UID (0020,000E) (32 hex digits).");
static SOP_KEY: Column =
    Column::new("sop_key", Kind::Text, "Keyed HMAC of SOP Instance UID (0008,0018) (32 hex digits).");
static FRAME_OF_REFERENCE_KEY: Column = Column::new(
    "frame_of_reference_key",
    Kind::Text,
    "Keyed HMAC of Frame of Reference UID (0020,0052) (32 hex digits); positions compare where it is equal.",
);
static STUDY_INSTANCE_UID: Column =
    Column::new("study_instance_uid", Kind::Text, "Study Instance UID (0020,000D); only with privacy = \"uids\".");
static SERIES_INSTANCE_UID: Column =
    Column::new("series_instance_uid", Kind::Text, "Series Instance UID (0020,000E); only with privacy = \"uids\".");
static SOP_INSTANCE_UID: Column =
    Column::new("sop_instance_uid", Kind::Text, "SOP Instance UID (0008,0018); only with privacy = \"uids\".");

/// The columns, in the order of the schema.
pub(crate) fn columns(privacy: Privacy) -> &'static [&'static Column] {
    static ALL: [&Column; 11] = [
        &SOURCE_ID,
        &FRAME,
        &CONTENT_ID,
        &PATIENT_KEY,
        &STUDY_KEY,
        &SERIES_KEY,
        &SOP_KEY,
        &FRAME_OF_REFERENCE_KEY,
        &STUDY_INSTANCE_UID,
        &SERIES_INSTANCE_UID,
        &SOP_INSTANCE_UID,
    ];
    match privacy {
        Privacy::Strict => ALL.split_at(8).0,
        Privacy::Uids => &ALL,
    }
}

/// Fills them. A name that is none (a UID with other than digits and points, or of more than 64 bytes;
/// an id too long to be kept) has no pseudonym: two such names may be equal and mean two things.
pub(crate) fn fill(filling: &mut Filling<'_>, at: &SliceRef, content_id: &str, key: &Key, privacy: Privacy) {
    let (header, frame) = (filling.header, filling.frame);
    filling.facts.set(&SOURCE_ID, at.input.source_id.to_string());
    filling.facts.set(&FRAME, frame.min(i32::MAX as u32) as i32);
    filling.facts.set(&CONTENT_ID, content_id);
    let issuer = header.text(frame, tags::ISSUER_OF_PATIENT_ID);
    let is_issuer_cut = issuer.is_none() && header.is_given(frame, tags::ISSUER_OF_PATIENT_ID);
    let id = header.text(frame, tags::PATIENT_ID).filter(|_| !is_issuer_cut);
    let patient = id.map(|id| key.pseudonym("patient", &[id, issuer.unwrap_or_default()]));
    filling.set(&PATIENT_KEY, tags::PATIENT_ID, patient);
    let mut pseudonym = |column: &'static Column, domain: &str, tag: Tag| {
        filling.word(column, tag, |text| vocabulary::uid(text).map(|uid| key.pseudonym(domain, &[uid.as_bytes()])));
    };
    pseudonym(&STUDY_KEY, "study", tags::STUDY_INSTANCE_UID);
    pseudonym(&SERIES_KEY, "series", tags::SERIES_INSTANCE_UID);
    pseudonym(&SOP_KEY, "sop", tags::SOP_INSTANCE_UID);
    pseudonym(&FRAME_OF_REFERENCE_KEY, "frame_of_reference", tags::FRAME_OF_REFERENCE_UID);
    if privacy == Privacy::Uids {
        let uid = |tag| header.text(frame, tag).and_then(vocabulary::uid);
        filling.facts.set_some(&STUDY_INSTANCE_UID, uid(tags::STUDY_INSTANCE_UID));
        filling.facts.set_some(&SERIES_INSTANCE_UID, uid(tags::SERIES_INSTANCE_UID));
        filling.facts.set_some(&SOP_INSTANCE_UID, uid(tags::SOP_INSTANCE_UID));
    }
}
