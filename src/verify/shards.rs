//! A shard and its ledger part, against the plan and against one another.

use std::collections::BTreeMap;

use super::check::{Check, generation_folder};
use super::condemned::Amendments;
use super::findings::Remedy;
use super::read::{length, read_shard};
use crate::error::Error;
use crate::identity::SourceId;
use crate::plan::PlannedInput;
use crate::reason::Class;
use crate::sink::dataset::sha256_of;
use crate::sink::digest::RowsDigest;
use crate::sink::ledger::{self, LedgerRow};
use crate::sink::shard::{PLAN_SHA256, ROWS, ROWS_DIGEST, SHARD_BYTES, SHARD_SHA256, ShardId, ShardRecord};

/// What a ledger part says of its shard; where it cannot be read, what the newest manifest says.
struct Expected {
    record: ShardRecord,
    /// The rows in their order; `None`: not known.
    written: Option<Vec<(SourceId, u32)>>,
}

impl Check<'_> {
    /// Checks a planned shard and its ledger part.
    pub(super) fn shard(
        &mut self,
        id: &ShardId,
        part: &[PlannedInput],
        amendments: &mut Amendments,
    ) -> Result<(), Error> {
        let (name, told) = (id.data_name(), self.ledger_part(id, part, amendments)?);
        let listed = self.listed.take(&name);
        match (told, listed) {
            (Some(expected), listed) => {
                self.compare_with_manifest(&expected.record, listed.as_ref());
                self.records.push(expected.record.clone());
                self.data(id, part, &expected)
            }
            (None, Some(record)) => self.data(id, part, &Expected { record, written: None }),
            // Nothing tells what it should be; its ledger part has been named.
            (None, None) => Ok(()),
        }
    }

    /// A shard's ledger part: one row for each planned slice, in order.
    fn ledger_part(
        &mut self,
        id: &ShardId,
        part: &[PlannedInput],
        amendments: &mut Amendments,
    ) -> Result<Option<Expected>, Error> {
        let name = id.ledger_name();
        let Some((rows, metadata)) = self.read(&name, Remedy::SetAside, ledger::read_part)? else { return Ok(None) };
        let Some(ledger_sha256) = self.read(&name, Remedy::SetAside, sha256_of)? else { return Ok(None) };
        self.of_this_plan(&name, id, &metadata);
        let slices = part.iter().flat_map(|input| (0..input.frames).map(move |frame| (input, frame)));
        let planned =
            slices.map(|(input, frame)| (Some(input.ordinal + u64::from(frame)), input.source_id, Some(frame)));
        let found = rows.iter().map(|row: &LedgerRow| (row.ordinal, row.source_id, row.frame));
        let in_order = planned.eq(found);
        self.expect(in_order, &name, Remedy::SetAside, || {
            "its rows are not the planned slices in their order".to_owned()
        });
        rows.iter().for_each(|row| self.findings.tally.count(row));
        if in_order {
            self.heeds(id, &rows, amendments);
            self.learn(id, part, &rows);
        }
        let written = rows.iter().filter(|row| row.class == Class::Written);
        let written: Vec<_> = written.map(|row| (row.source_id, row.frame.unwrap_or_default())).collect();
        let count = |key: &str| metadata.get(key).and_then(|n| n.parse::<u64>().ok());
        self.expect(count(ROWS) == Some(written.len() as u64), &name, Remedy::SetAside, || {
            format!("{ROWS} is {:?}, but {} of its rows are written", metadata.get(ROWS), written.len())
        });
        let digest = metadata.get(ROWS_DIGEST).and_then(|digest| digest.parse().ok());
        let (Some(sha256), Some(bytes), Some(rows_digest)) = (metadata.get(SHARD_SHA256), count(SHARD_BYTES), digest)
        else {
            self.problem(&name, Remedy::SetAside, "lacks hash, length or rows digest of its shard");
            return Ok(None);
        };
        let (rows, sha256) = (written.len() as u64, sha256.clone());
        let (name, generation) = (id.data_name(), id.generation);
        let record = ShardRecord { name, generation, rows, bytes, sha256, ledger_sha256, rows_digest };
        Ok(Some(Expected { record, written: Some(written) }))
    }

    /// What later generations and the sample need to know of a shard's slices.
    fn learn(&mut self, id: &ShardId, part: &[PlannedInput], rows: &[LedgerRow]) {
        let mut rest = rows;
        for input in part {
            let (of_input, later) = rest.split_at_checked(input.frames as usize).unwrap_or((rest, &[]));
            self.inputs.came_to(input, of_input);
            rest = later;
        }
        self.sample.offer_shard(id, rows);
    }

    /// A shard against the plan and what is expected of it.
    fn data(&mut self, id: &ShardId, part: &[PlannedInput], expected: &Expected) -> Result<(), Error> {
        let (name, record) = (id.data_name(), &expected.record);
        let whole = self.read_data.reads(self.progress.checked);
        self.findings.shards_read += u64::from(whole);
        let digest = self.contents(id, part, expected, whole)?;
        self.findings.rows_digest += digest.unwrap_or(record.rows_digest);
        if whole && let Some(sha256) = self.read(&name, Remedy::SetAside, sha256_of)? {
            self.expect(sha256 == record.sha256, &name, Remedy::SetAside, || {
                format!("sha256 is {sha256}, expected {}", record.sha256)
            });
        }
        Ok(())
    }

    /// Length, footer and identity columns of a shard; where all of it is read, also the digest of its
    /// rows, which is given back.
    fn contents(
        &mut self,
        id: &ShardId,
        part: &[PlannedInput],
        expected: &Expected,
        whole: bool,
    ) -> Result<Option<RowsDigest>, Error> {
        let (name, record) = (id.data_name(), &expected.record);
        let Some(bytes) = self.read(&name, Remedy::SetAside, length)? else { return Ok(None) };
        self.expect(bytes == record.bytes, &name, Remedy::SetAside, || {
            format!("holds {bytes} bytes, expected {}", record.bytes)
        });
        self.findings.bytes += bytes;
        let read = |path: &std::path::Path| read_shard(path, whole);
        let Some(shard) = self.read(&name, Remedy::SetAside, read)? else { return Ok(None) };
        self.metadata(&name, id, &shard.metadata);
        let rows = shard.rows.len() as u64;
        self.findings.rows += rows;
        let says = shard.metadata.get(ROWS).and_then(|n| n.parse().ok());
        self.expect(says == Some(rows) && rows == record.rows, &name, Remedy::SetAside, || {
            format!("{ROWS} is {says:?}, it holds {rows} rows, expected {}", record.rows)
        });
        let found = shard.rows.iter().map(|row| (row.source_id, row.frame));
        let same = expected.written.as_ref().is_none_or(|written| written.iter().copied().eq(found));
        self.expect(same, &name, Remedy::SetAside, || {
            "its rows are not those that its ledger part says are written".to_owned()
        });
        let sop_keys: BTreeMap<_, _> =
            part.iter().map(|input| (input.source_id, input.sop_key.map(hex::encode))).collect();
        let same = shard.rows.iter().all(|row| sop_keys.get(&row.source_id) == Some(&row.sop_key));
        self.expect(same, &name, Remedy::SetAside, || "sop_key of a row is not that of the plan".to_owned());
        let same = shard.digest.is_none_or(|digest| digest == record.rows_digest);
        self.expect(same, &name, Remedy::SetAside, || {
            "the digest of its rows is not the one of its ledger part".to_owned()
        });
        Ok(shard.digest)
    }

    /// That a ledger part is of its shard. Where it is in all but of another plan segment, and the shard is of
    /// that one too, the two have seen the segment as it was: that is what has changed.
    fn of_this_plan(&mut self, name: &str, id: &ShardId, metadata: &BTreeMap<String, String>) {
        let differ = id.metadata().iter().filter(|(key, value)| metadata.get(*key) != Some(value)).count();
        match metadata.get(PLAN_SHA256) {
            Some(other) if differ == 1 && *other != id.plan_sha256 && self.shard_is_of(id, other) => {
                let plan = generation_folder("plan", id.generation);
                let what = format!("the segment of {name} has sha256 {}, it was {other}", id.plan_sha256);
                self.problem(&plan, Remedy::Restore, what);
            }
            _ => self.metadata(name, id, metadata),
        }
    }

    fn shard_is_of(&self, id: &ShardId, plan_sha256: &str) -> bool {
        let shard = read_shard(&self.out.join(id.data_name()), false);
        shard.is_ok_and(|shard| shard.metadata.get(PLAN_SHA256).is_some_and(|found| found == plan_sha256))
    }

    fn metadata(&mut self, name: &str, id: &ShardId, metadata: &BTreeMap<String, String>) {
        for (key, expected) in id.metadata() {
            let found = metadata.get(key).map_or("nothing", String::as_str);
            self.expect(found == expected, name, Remedy::SetAside, || format!("{key} is {found}, expected {expected}"));
        }
    }
}
