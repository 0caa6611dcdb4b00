//! Amendments of the plan: slices that are rejects whatever their input holds now.

use std::collections::BTreeMap;

use super::check::{Check, generation_folder};
use super::findings::Remedy;
use super::read::read_json;
use crate::error::Error;
use crate::identity::SourceId;
use crate::reason::Class;
use crate::sink::ledger::LedgerRow;
use crate::sink::shard::ShardId;

/// Name and end of an amendment: `plan/g000001/condemned-000000000017.json`, by ordinal.
const NAME: (&str, &str) = ("condemned-", ".json");

/// What an amendment says.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Condemned {
    source_id: String,
    frame: u32,
    reason: String,
}

/// The amendments of a generation by ordinal, with their names below OUT.
pub(super) type Amendments = BTreeMap<u64, (String, Condemned)>;

impl Check<'_> {
    /// Reads the amendments among the files of a generation's plan.
    pub(super) fn amendments<'n>(
        &mut self,
        generation: u32,
        names: impl Iterator<Item = &'n String>,
    ) -> Result<Amendments, Error> {
        let mut amendments = Amendments::new();
        for file in names {
            let Some(digits) = file.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1)) else { continue };
            let name = format!("{}/{file}", generation_folder("plan", generation));
            let Ok(ordinal) = digits.parse::<u64>() else {
                self.problem(&name, Remedy::Look, "its name holds no ordinal");
                continue;
            };
            if let Some(condemned) = self.read(&name, Remedy::Restore, read_json)? {
                amendments.insert(ordinal, (name, condemned));
            }
        }
        Ok(amendments)
    }

    /// That the slices of a shard that are condemned are rejects of its ledger part.
    pub(super) fn heeds(&mut self, id: &ShardId, rows: &[LedgerRow], amendments: &mut Amendments) {
        for row in rows {
            let Some((name, condemned)) = row.ordinal.and_then(|ordinal| amendments.remove(&ordinal)) else { continue };
            let same = condemned.source_id.parse() == Ok::<SourceId, String>(row.source_id)
                && Some(condemned.frame) == row.frame;
            self.expect(same, &name, Remedy::Look, || "names another slice than the plan".to_owned());
            let reason = row.reason.map_or("written", |reason| reason.as_str());
            let heeded = row.class == Class::Rejected && reason == condemned.reason;
            for file in [id.ledger_name(), id.data_name()] {
                self.expect(heeded || !same, &file, Remedy::SetAside, || {
                    format!("slice {} is {reason}, but {name} says {}", row.ordinal.unwrap_or(0), condemned.reason)
                });
            }
        }
    }

    /// What is left of the amendments when all shards of their generation have been seen.
    pub(super) fn no_amendment_beside(&mut self, left: &Amendments, shards_unseen: bool) {
        for (name, _) in left.values() {
            self.expect(shards_unseen, name, Remedy::Look, || "names no slice that is planned".to_owned());
        }
    }
}
