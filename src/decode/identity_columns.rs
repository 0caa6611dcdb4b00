//! Columns of the group identity: which slice this is, without saying whose.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::header::Header;
use super::vocabulary;
use crate::column::{Column, Facts, Kind};
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

/// Fills them.
pub(crate) fn fill(facts: &mut Facts, at: &SliceRef, header: &Header, content_id: &str, key: &Key, privacy: Privacy) {
    facts.set(&SOURCE_ID, at.input.source_id.to_string());
    facts.set(&FRAME, at.frame.min(i32::MAX as u32) as i32);
    facts.set(&CONTENT_ID, content_id);
    let patient = header.text(at.frame, tags::PATIENT_ID).map(|id| {
        let issuer = header.text(at.frame, tags::ISSUER_OF_PATIENT_ID).unwrap_or_default();
        key.pseudonym("patient", &[id, issuer])
    });
    facts.set_some(&PATIENT_KEY, patient);
    let mut pseudonym = |column: &'static Column, domain: &str, tag: Tag| {
        facts.set_some(column, header.text(at.frame, tag).map(|uid| key.pseudonym(domain, &[uid])));
    };
    pseudonym(&STUDY_KEY, "study", tags::STUDY_INSTANCE_UID);
    pseudonym(&SERIES_KEY, "series", tags::SERIES_INSTANCE_UID);
    pseudonym(&SOP_KEY, "sop", tags::SOP_INSTANCE_UID);
    pseudonym(&FRAME_OF_REFERENCE_KEY, "frame_of_reference", tags::FRAME_OF_REFERENCE_UID);
    if privacy == Privacy::Uids {
        let uid = |tag| header.text(at.frame, tag).and_then(vocabulary::uid);
        facts.set_some(&STUDY_INSTANCE_UID, uid(tags::STUDY_INSTANCE_UID));
        facts.set_some(&SERIES_INSTANCE_UID, uid(tags::SERIES_INSTANCE_UID));
        facts.set_some(&SOP_INSTANCE_UID, uid(tags::SOP_INSTANCE_UID));
    }
}
