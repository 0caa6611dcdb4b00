//! The ledger: one row per found slice or input, and the counts that must balance.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};

use super::publish::{OutputFolder, Published, Unpublished};
use super::storage::Stored;
use super::table;
use crate::error::Error;
use crate::identity::SourceId;
use crate::reason::{Class, Reason};

/// What became of one found slice, or of one input that holds none.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerRow {
    /// Its place in the plan; null for what was never planned.
    pub ordinal: Option<u64>,
    /// The input.
    pub source_id: SourceId,
    /// The frame of the input, from 0; null for an input as a whole.
    pub frame: Option<u32>,
    /// What became of it.
    pub class: Class,
    /// Why it is no row; null for class written.
    pub reason: Option<Reason>,
    /// The step that gave up on it.
    pub stage: Option<Cow<'static, str>>,
    /// One sentence: the thing, the value found, the value expected.
    pub detail: Option<String>,
    /// For a duplicate: the input that is the row instead.
    pub winner: Option<SourceId>,
    /// The column `content_id` that the slice has or would have; null where the input was not read
    /// to its end, and where the reason says nothing of its bytes.
    pub content_id: Option<String>,
}

impl LedgerRow {
    /// A row of class written.
    pub fn written(ordinal: u64, source_id: SourceId, frame: u32) -> LedgerRow {
        LedgerRow {
            ordinal: Some(ordinal),
            source_id,
            frame: Some(frame),
            class: Class::Written,
            reason: None,
            stage: None,
            detail: None,
            winner: None,
            content_id: None,
        }
    }
}

/// Metadata of a plan segment: how many rows of earlier ledgers no longer count, by reason, as JSON.
/// Theirs are inputs that this segment has a new word on.
pub(crate) const SUPERSEDED: &str = "dcmshard.superseded";

/// Publishes `rows` as the ledger part `name`.
///
/// # Errors
/// As [`super::publish::Unpublished::publish`].
pub fn publish(
    folder: &OutputFolder,
    name: &str,
    rows: &[LedgerRow],
    metadata: &[(&str, String)],
) -> Result<Published, Error> {
    write(folder, name, rows, metadata)?.publish()
}

/// As [`publish`], up to where it could be seen.
pub(super) fn write(
    folder: &OutputFolder,
    name: &str,
    rows: &[LedgerRow],
    metadata: &[(&str, String)],
) -> Result<Unpublished, Error> {
    let mut file = folder.begin(name)?;
    table::write(rows, batch, metadata, &mut file, &folder.path(name))?;
    Ok(file)
}

/// Reads a ledger part.
///
/// # Errors
/// As [`table::read`]; [`Error::Verify`] also for a word outside the vocabulary.
pub fn read(path: &Path) -> Result<Vec<LedgerRow>, Error> {
    read_part(path).map(|(rows, _)| rows)
}

/// Reads a ledger part and the key-value metadata of its file.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_part(path: &Path) -> Result<(Vec<LedgerRow>, BTreeMap<String, String>), Error> {
    read_stored(&table::on_disk(path)?)
}

/// As [`read_part`], of a file that is open.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_stored(file: &Stored) -> Result<(Vec<LedgerRow>, BTreeMap<String, String>), Error> {
    let table = table::read_stored(file)?;
    let rows = from_batch(&table.rows)
        .map_err(|problem| Error::Verify(format!("{} is no ledger part: {problem}", file.path().display())))?;
    Ok((rows, table.metadata))
}

fn batch(rows: &[LedgerRow]) -> Result<RecordBatch, Error> {
    let wide = |n: u64| i64::try_from(n).map_err(|_| Error::Bug(format!("ordinal {n}: expected below 2^63")));
    let narrow = |n: u32| i32::try_from(n).map_err(|_| Error::Bug(format!("frame {n}: expected below 2^31")));
    let ordinals = rows.iter().map(|row| row.ordinal.map(wide).transpose()).collect::<Result<Int64Array, _>>()?;
    let frames = rows.iter().map(|row| row.frame.map(narrow).transpose()).collect::<Result<Int32Array, _>>()?;
    let text =
        |of: fn(&LedgerRow) -> Option<String>| Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("ordinal", Arc::new(ordinals) as ArrayRef, true),
        ("source_id", text(|row| Some(row.source_id.to_string())), false),
        ("frame", Arc::new(frames) as ArrayRef, true),
        ("class", text(|row| Some(row.class.as_str().to_owned())), false),
        ("reason", text(|row| row.reason.map(|reason| reason.as_str().to_owned())), true),
        ("stage", text(|row| row.stage.as_deref().map(str::to_owned)), true),
        ("detail", text(|row| row.detail.clone()), true),
        ("winner", text(|row| row.winner.map(|id| id.to_string())), true),
        ("content_id", text(|row| row.content_id.clone()), true),
    ])
    .map_err(|e| Error::Bug(format!("ledger columns: {e}")))
}

fn from_batch(batch: &RecordBatch) -> Result<Vec<LedgerRow>, String> {
    let ordinals = column::<Int64Array>(batch, "ordinal")?;
    let frames = column::<Int32Array>(batch, "frame")?;
    let texts = ["source_id", "class", "reason", "stage", "detail", "winner", "content_id"];
    let mut columns = Vec::with_capacity(texts.len());
    for name in texts {
        columns.push(column::<StringArray>(batch, name)?);
    }
    let text = |at: usize, row: usize| columns[at].is_valid(row).then(|| columns[at].value(row));
    let needed = |at: usize, row: usize| text(at, row).ok_or_else(|| format!("{} is null", texts[at]));
    (0..batch.num_rows())
        .map(|row| {
            let ledger_row = LedgerRow {
                ordinal: ordinals.is_valid(row).then(|| ordinals.value(row).cast_unsigned()),
                source_id: source_id(needed(0, row)?)?,
                frame: frames.is_valid(row).then(|| frames.value(row).cast_unsigned()),
                class: class(needed(1, row)?)?,
                reason: text(2, row).map(reason).transpose()?,
                stage: text(3, row).map(|stage| stage.to_owned().into()),
                detail: text(4, row).map(str::to_owned),
                winner: text(5, row).map(source_id).transpose()?,
                content_id: text(6, row).map(str::to_owned),
            };
            match ledger_row.reason.map_or(Class::Written, Reason::class) {
                expected if expected == ledger_row.class => Ok(ledger_row),
                expected => Err(format!("class is {:?}, its reason's is {expected:?}", ledger_row.class)),
            }
        })
        .collect()
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, String> {
    let found = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    found.ok_or_else(|| format!("column {name} is missing or of another type"))
}

fn source_id(word: &str) -> Result<SourceId, String> {
    SourceId::from_str(word)
}

fn class(word: &str) -> Result<Class, String> {
    let all = [Class::Written, Class::Rejected, Class::Duplicate, Class::Filtered];
    all.into_iter().find(|class| class.as_str() == word).ok_or_else(|| format!("class {word:?} is unknown"))
}

fn reason(word: &str) -> Result<Reason, String> {
    let found = Reason::all().iter().find(|reason| reason.as_str() == word);
    found.copied().ok_or_else(|| format!("reason {word:?} is unknown"))
}

/// Counts of ledger rows, and of what was found, which must be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Slices, and inputs that hold none, as the plan found them.
    pub found: u64,
    /// Ledger rows by class.
    pub classes: BTreeMap<Class, u64>,
    /// Ledger rows by reason; those of class written have none.
    pub reasons: BTreeMap<Reason, u64>,
}

impl Tally {
    /// Counts one ledger row. `found` is counted apart, by whoever finds.
    pub fn count(&mut self, row: &LedgerRow) {
        *self.classes.entry(row.class).or_default() += 1;
        if let Some(reason) = row.reason {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// One row of this reason, and that it was found.
    pub(crate) fn of_one(reason: Reason) -> Tally {
        Tally { found: 1, classes: [(reason.class(), 1)].into(), reasons: [(reason, 1)].into() }
    }

    /// Counts one row of a ledger, and that it was found.
    pub(crate) fn find(&mut self, row: &LedgerRow) {
        self.found += 1;
        self.count(row);
    }

    /// Takes rows out that no longer count: of an input's rows those of the latest segment hold.
    pub fn supersede(&mut self, rows: &Tally) {
        self.found = self.found.saturating_sub(rows.found);
        take_out(&mut self.classes, &rows.classes);
        take_out(&mut self.reasons, &rows.reasons);
    }

    /// The metadata with which a plan segment names the rows that no longer count; none for none.
    pub(crate) fn to_metadata(&self) -> Option<(&'static str, String)> {
        let counts = self.reasons.iter().map(|(reason, n)| (reason.as_str().to_owned(), (*n).into()));
        (!self.reasons.is_empty()).then(|| (SUPERSEDED, serde_json::Value::Object(counts.collect()).to_string()))
    }

    /// The rows that no longer count, by the metadata of a plan segment.
    ///
    /// # Errors
    /// What is wrong with the metadata.
    pub(crate) fn superseded_by(metadata: &BTreeMap<String, String>) -> Result<Tally, String> {
        let Some(json) = metadata.get(SUPERSEDED) else { return Ok(Tally::default()) };
        let counts: BTreeMap<String, u32> =
            serde_json::from_str(json).map_err(|e| format!("{SUPERSEDED} is no count by reason: {e}"))?;
        let mut tally = Tally::default();
        for (word, n) in counts {
            let reason = reason(&word)?;
            tally.found += u64::from(n);
            *tally.classes.entry(reason.class()).or_default() += u64::from(n);
            tally.reasons.insert(reason, n.into());
        }
        Ok(tally)
    }

    /// Ledger rows of this class.
    pub fn of(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    /// The law of conservation: `found = written + rejected + duplicate + filtered`.
    ///
    /// # Errors
    /// [`Error::Bug`] with all the counts, where it does not hold.
    pub fn check(&self) -> Result<(), Error> {
        let [written, rejected, duplicate, filtered] =
            [Class::Written, Class::Rejected, Class::Duplicate, Class::Filtered].map(|class| self.of(class));
        if self.found == written + rejected + duplicate + filtered {
            return Ok(());
        }
        Err(Error::Bug(format!(
            "found {}, but written {written} + rejected {rejected} + duplicate {duplicate} + filtered {filtered}",
            self.found
        )))
    }
}

fn take_out<K: Ord>(counts: &mut BTreeMap<K, u64>, less: &BTreeMap<K, u64>) {
    counts.retain(|key, n| {
        *n = n.saturating_sub(less.get(key).copied().unwrap_or(0));
        *n > 0
    });
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.found += other.found;
        for (class, n) in &other.classes {
            *self.classes.entry(*class).or_default() += n;
        }
        for (reason, n) in &other.reasons {
            *self.reasons.entry(*reason).or_default() += n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn rows() -> Vec<LedgerRow> {
        let mut rows = vec![LedgerRow::written(0, SourceId([1; 24]), 0), LedgerRow::written(1, SourceId([1; 24]), 1)];
        for (n, reason) in Reason::all().iter().enumerate() {
            rows.push(LedgerRow {
                ordinal: (n % 2 == 0).then_some(n as u64 + 2),
                source_id: SourceId([n as u8; 24]),
                frame: (n % 3 == 0).then_some(n as u32),
                class: reason.class(),
                reason: Some(*reason),
                stage: (n % 2 == 1).then(|| "decode".into()),
                detail: Some(format!("Rows is {n}, expected 512")),
                winner: (reason.class() == Class::Duplicate).then_some(SourceId([9; 24])),
                content_id: (n % 4 == 0).then(|| "ab".repeat(16)),
            });
        }
        rows
    }

    #[test]
    fn every_reason_comes_back_as_it_was() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        let name = "ledger/g000001/part-00000000.parquet";
        publish(&folder, name, &rows(), &[("shard_sha256", "00".into())])?;
        assert_eq!(read(&temp.path().join(name))?, rows());
        assert_eq!(table::read(&temp.path().join(name))?.metadata["shard_sha256"], "00");
        publish(&folder, "ledger/empty.parquet", &[], &[])?;
        assert_eq!(read(&temp.path().join("ledger/empty.parquet"))?, vec![]);
        Ok(())
    }

    #[test]
    fn a_ledger_row_whose_class_is_not_its_reasons_is_no_ledger() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        let mut bad = LedgerRow::written(0, SourceId([1; 24]), 0);
        bad.reason = Some(Reason::Rescale);
        publish(&folder, "ledger/bad.parquet", &[bad], &[])?;
        assert!(matches!(read(&temp.path().join("ledger/bad.parquet")), Err(Error::Verify(_))));
        Ok(())
    }

    #[test]
    fn tallies_add_up_and_balance_only_when_every_found_one_has_a_row() {
        let mut tally = Tally { found: rows().len() as u64, ..Tally::default() };
        for row in rows() {
            tally.count(&row);
        }
        tally.check().expect("one row for each");
        assert_eq!(tally.of(Class::Written), 2);
        assert_eq!(tally.of(Class::Duplicate), 1);
        let mut twice = tally.clone();
        twice += &tally;
        assert_eq!(twice.of(Class::Written), 4);
        assert_eq!(twice.reasons[&Reason::Rescale], 2);
        twice.found -= 1;
        assert!(matches!(twice.check(), Err(Error::Bug(_))));
    }

    #[test]
    fn superseded_rows_come_back_from_metadata_and_count_no_more() -> Tested {
        let (mut tally, mut superseded) = (Tally::default(), Tally::default());
        rows().iter().for_each(|row| tally.find(row));
        let whole = tally.clone();
        rows().iter().filter(|row| row.reason == Some(Reason::Unreadable)).for_each(|row| superseded.find(row));
        let metadata = superseded.to_metadata().ok_or("metadata")?;
        assert_eq!(metadata.1, r#"{"unreadable":1}"#);
        let metadata = BTreeMap::from([(metadata.0.to_owned(), metadata.1)]);
        assert_eq!(Tally::superseded_by(&metadata)?, superseded);
        tally += &superseded;
        tally.supersede(&superseded);
        assert_eq!(tally, whole);
        tally.supersede(&superseded);
        tally.check()?;
        assert!(!tally.reasons.contains_key(&Reason::Unreadable));
        assert_eq!((Tally::default().to_metadata(), Tally::superseded_by(&BTreeMap::new())?), (None, Tally::default()));
        for wrong in ["", "{\"unreadable\":-1}", "{\"nonsense\":1}", "[1]"] {
            let metadata = BTreeMap::from([(SUPERSEDED.to_owned(), wrong.to_owned())]);
            assert!(Tally::superseded_by(&metadata).is_err(), "{wrong}");
        }
        Ok(())
    }
}
