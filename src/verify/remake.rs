//! Chosen slices made again from their sources, and compared bit by bit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, BinaryArray, Int64Array, RecordBatch, StringArray};

use super::check::{Check, generation_folder};
use super::findings::{Compared, Problem, Remedy};
use super::read::read_row;
use super::sample::{Chosen, ChosenReject, ChosenSlice};
use super::{Against, Progress};
use crate::decode::{self, Examined};
use crate::error::Error;
use crate::identity::{Key, SourceId};
use crate::pipeline::Pipeline;
use crate::plan;
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::sink::dataset::{self, sha256_of};
use crate::sink::digest::canonical;
use crate::sink::rows::{Row, RowEncoder};
use crate::sink::table;
use crate::slice::{Bytes, InputRef, Ordinal, SliceRef};
use crate::source::{Source, What};
use crate::stage::Scratch;

/// Where an input was when it was last looked at, and what it was then.
struct Known {
    label: String,
    path: Vec<u8>,
    stamp: Option<(u64, i64)>,
}

/// Where a chosen input is now; or why it cannot be compared.
enum Standing {
    Here(PathBuf),
    Gone,
    Changed,
    Elsewhere,
    Lost,
}

/// What made the data set, to make its rows again.
struct Remaker {
    recipe: Recipe,
    pipeline: Pipeline,
    encoder: RowEncoder,
    scratch: Scratch,
    /// The last input: frames of one follow one another.
    input: Option<Arc<InputRef>>,
}

impl Check<'_> {
    /// Makes the chosen slices again, and compares.
    pub(super) fn remake(&mut self, against: &Against, report: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let key = self.key(against)?;
        let mut remaker = Remaker::new(Recipe::from_json(&self.dataset.recipe)?, &key)?;
        let chosen = self.sample.take();
        let known = self.known(&chosen)?;
        let mut compared = Compared { chosen: chosen.len() as u64, ..Compared::default() };
        self.progress.to_remake = compared.chosen;
        for one in &chosen {
            match standing(known.get(&one.source_id), &against.sources) {
                Standing::Here(path) => self.compare(one, &path, &mut remaker, &mut compared)?,
                Standing::Gone => compared.gone += 1,
                Standing::Changed => compared.changed += 1,
                Standing::Elsewhere => compared.elsewhere += 1,
                Standing::Lost => compared.lost += 1,
            }
            self.progress.remade += 1;
            report(self.progress);
        }
        self.findings.compared = Some(compared);
        Ok(())
    }

    /// The key that the data set was made with.
    fn key(&self, against: &Against) -> Result<Key, Error> {
        let key = dataset::find_key(self.out, against.key_file.as_deref())?;
        match key.as_ref().map(Key::id) {
            Some(id) if id == self.dataset.key_id => {}
            id => {
                let (found, expected) = (id.unwrap_or("none".to_owned()), &self.dataset.key_id);
                let out = self.out.display();
                let what = format!("{out} was made with key {expected}, found {found}; name its file with --key");
                return Err(Error::OtherRecipe(what));
            }
        }
        key.ok_or_else(|| Error::Bug("no key".to_owned()))
    }

    /// What the private path tables say of the chosen inputs; the last word on each.
    fn known(&self, chosen: &[Chosen]) -> Result<BTreeMap<SourceId, Known>, Error> {
        let private = dataset::private_folder(self.out)?;
        let mut wanted: BTreeMap<SourceId, Option<Known>> = chosen.iter().map(|one| (one.source_id, None)).collect();
        let mut take = |source_id: SourceId, label: &str, path: &[u8], stamp| {
            if let Some(known) = wanted.get_mut(&source_id) {
                *known = Some(Known { label: label.to_owned(), path: path.to_owned(), stamp });
            }
        };
        for generation in 1.. {
            let names = self.files(&generation_folder("plan", generation))?;
            if names.is_empty() {
                break;
            }
            let segments = names.iter().filter(|name| name.ends_with(".parquet")).count();
            for index in 0..u32::try_from(segments).unwrap_or(u32::MAX) {
                let path = private.join(plan::paths_name(generation, index));
                match read_paths(&path, &mut take) {
                    Err(Error::OutputIo { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                    Err(Error::Verify(_)) => tracing::warn!("{} is damaged; convert makes it again", path.display()),
                    read => read?,
                }
            }
        }
        Ok(wanted.into_iter().filter_map(|(source_id, known)| Some((source_id, known?))).collect())
    }

    fn compare(
        &mut self,
        one: &Chosen,
        path: &Path,
        remaker: &mut Remaker,
        compared: &mut Compared,
    ) -> Result<(), Error> {
        let named = |p: &Problem| one.slice.as_ref().is_some_and(|s| s.shard == p.file) && p.remedy != Remedy::Look;
        if one.reject.is_none() && self.findings.problems.iter().any(named) {
            compared.damaged += 1;
            return Ok(());
        }
        let now = match &one.slice {
            Some(slice) => remaker.slice(one.source_id, slice, path)?,
            None => remaker.input(path),
        };
        if matches!(&now, Err(now) if now.reason == Reason::Unreadable) {
            compared.unreadable += 1;
            return Ok(());
        }
        compared.compared += 1;
        let file = one.slice.as_ref().map_or("ledger", |slice| &slice.shard);
        let which = match &one.slice {
            Some(slice) => format!("source_id {} frame {}", one.source_id, slice.frame),
            None => format!("source_id {}", one.source_id),
        };
        match (&one.reject, now) {
            (None, Ok(Some(row))) => self.compare_rows(one, &row, &which)?,
            (Some(then), Err(now)) if *then == now => {}
            (Some(then), Err(now)) if then.reason == now.reason => {
                let what = format!("{which}: rejected as {} with another stage or detail than now", now.reason);
                self.problem(file, Remedy::Look, what);
            }
            (then, now) => {
                let then = then.as_ref().map_or("a row", |reject| reject.reason.as_str());
                let now = now.as_ref().map_or_else(|now| now.reason.as_str(), |_| "a row");
                self.problem(file, Remedy::Look, format!("{which}: is {then}, made again it is {now}"));
            }
        }
        Ok(())
    }

    fn compare_rows(&mut self, one: &Chosen, again: &RecordBatch, which: &str) -> Result<(), Error> {
        let Some(slice) = &one.slice else { return Ok(()) };
        let shard = &slice.shard;
        let Some(row) = self.read(shard, Remedy::SetAside, |path| read_row(path, slice.row))? else { return Ok(()) };
        let differ = differences(&row, again).map_err(Error::Bug)?;
        if differ.is_empty() {
            return Ok(());
        }
        // Either the file is not what was written, or what makes it is not what it was.
        let then = self.records.iter().find(|record| record.name == *shard).map(|record| record.sha256.clone());
        let as_written = self.read(shard, Remedy::SetAside, sha256_of)? == then;
        let (remedy, whole) =
            if as_written { (Remedy::Look, "as it was written") } else { (Remedy::SetAside, "damaged") };
        let what = format!("{which}: made again, it differs in {}; the file is {whole}", differ.join(", "));
        self.problem(shard, remedy, what);
        Ok(())
    }
}

/// The columns in which two rows differ, by their canonical bytes. No values: they may be words.
fn differences(one: &RecordBatch, other: &RecordBatch) -> Result<Vec<String>, String> {
    let (mut ours, mut theirs, mut differ) = (Vec::new(), Vec::new(), Vec::new());
    for (field, column) in other.schema_ref().fields().iter().zip(other.columns()) {
        let name = field.name();
        let same = match one.column_by_name(name) {
            Some(stored) => {
                let stored = canonical(name, stored, 0, &mut ours)?;
                let made = canonical(name, column, 0, &mut theirs)?;
                stored == made && ours == theirs
            }
            None => false,
        };
        if !same {
            differ.push(name.clone());
        }
    }
    if one.num_columns() > other.num_columns() {
        differ.push(format!("{} columns more", one.num_columns() - other.num_columns()));
    }
    Ok(differ)
}

impl Remaker {
    fn new(recipe: Recipe, key: &Key) -> Result<Remaker, Error> {
        let pipeline = Pipeline::new(&recipe, key);
        let encoder = RowEncoder::new(&recipe, pipeline.columns())?;
        Ok(Remaker { recipe, pipeline, encoder, scratch: Scratch::default(), input: None })
    }

    /// A slice through the line: its row, or its reject.
    fn slice(
        &mut self,
        source_id: SourceId,
        slice: &ChosenSlice,
        path: &Path,
    ) -> Result<Result<Option<RecordBatch>, ChosenReject>, Error> {
        let input = match self.input.take().filter(|input| input.source_id == source_id) {
            Some(input) => input,
            None => InputRef::file(source_id, path),
        };
        self.input = Some(Arc::clone(&input));
        let at = SliceRef { ordinal: Ordinal(slice.ordinal), input, frame: slice.frame };
        match self.pipeline.process(&at, &mut self.scratch) {
            Ok(slice) => self.encoder.table(Row::from(slice)).map(|row| Ok(Some(row))),
            Err(reject) => Ok(Err(rejected(reject.fault, Some(reject.stage)))),
        }
    }

    /// An input by its header.
    fn input(&self, path: &Path) -> Result<Option<RecordBatch>, ChosenReject> {
        match decode::examine(&Bytes::File(path.to_owned()), &self.recipe) {
            Examined::Ct(_) => Ok(None),
            Examined::Not(fault) => Err(rejected(fault, None)),
        }
    }
}

fn rejected(fault: Fault, stage: Option<&str>) -> ChosenReject {
    ChosenReject { reason: fault.reason, stage: stage.map(str::to_owned), detail: Some(fault.detail) }
}

/// Looks for an input in the source of its label.
fn standing(known: Option<&Known>, sources: &[Source]) -> Standing {
    let Some(known) = known else { return Standing::Lost };
    let Some(source) = sources.iter().find(|source| source.label() == known.label) else { return Standing::Elsewhere };
    let path = source.root().join(OsStr::from_bytes(&known.path));
    match What::at(&path) {
        What::File { size, mtime_ns } if known.stamp == Some((size, mtime_ns)) => Standing::Here(path),
        What::Unreadable(_) => Standing::Gone,
        _ => Standing::Changed,
    }
}

/// Is given identity, label, path below the source, size and time of an input.
type TakePath<'t> = dyn FnMut(SourceId, &str, &[u8], Option<(u64, i64)>) + 't;

/// Reads a private path table, input by input.
pub(super) fn read_paths(path: &Path, take: &mut TakePath<'_>) -> Result<(), Error> {
    let rows = table::read(path)?.rows;
    let wrong = |what: String| Error::Verify(format!("{} is no path table: {what}", path.display()));
    let ids = column::<StringArray>(&rows, "source_id").map_err(wrong)?;
    let labels = column::<StringArray>(&rows, "label").map_err(wrong)?;
    let tails = column::<BinaryArray>(&rows, "path").map_err(wrong)?;
    let sizes = column::<Int64Array>(&rows, "size").map_err(wrong)?;
    let times = column::<Int64Array>(&rows, "mtime_ns").map_err(wrong)?;
    for row in 0..rows.num_rows() {
        let stamp = sizes.is_valid(row).then(|| (sizes.value(row).cast_unsigned(), times.value(row)));
        take(ids.value(row).parse().map_err(wrong)?, labels.value(row), tails.value(row), stamp);
    }
    Ok(())
}

fn column<'a, T: 'static>(rows: &'a RecordBatch, name: &str) -> Result<&'a T, String> {
    let found = rows.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    found.ok_or_else(|| format!("column {name} is missing or of another type"))
}
