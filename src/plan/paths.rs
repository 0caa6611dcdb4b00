//! The paths of a segment's inputs, compact, and the private table that keeps them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};

use super::segment::{PlannedInput, array, source_ids, wide};
use crate::error::Error;
use crate::identity::{Key, SourceId};
use crate::sink::ledger::LedgerRow;
use crate::sink::publish::{OutputFolder, Unpublished};
use crate::sink::storage::Stored;
use crate::sink::table;
use crate::source::{Source, Walk, What};

/// Paths in one arena: every folder once, every name once.
#[derive(Debug, Default)]
pub(super) struct Paths {
    roots: Vec<Root>,
    folders: Vec<(usize, Box<[u8]>)>,
    names: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Root {
    label: String,
    root: PathBuf,
}

/// Where a path is in [`Paths`].
#[derive(Clone, Copy, Debug)]
pub(super) struct PathAt {
    folder: u32,
    name: u32,
    name_length: u32,
}

/// An input of a segment, planned or not, with what tells whether it has changed since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub source_id: SourceId,
    pub at: PathAt,
    /// Bytes and modification time; `None` for what is no regular file.
    pub stamp: Option<(u64, i64)>,
}

/// Size and time of a regular file.
pub(super) fn stamp(what: &What) -> Option<(u64, i64)> {
    match what {
        What::File { size, mtime_ns } => Some((*size, *mtime_ns)),
        What::Special(_) | What::Unreadable(_) | What::Folder(_) => None,
    }
}

impl Paths {
    /// No paths yet, of these sources.
    pub(super) fn of(sources: &[Source]) -> Paths {
        let root = |s: &Source| Root { label: s.label().to_owned(), root: s.root().to_owned() };
        Paths { roots: sources.iter().map(root).collect(), ..Paths::default() }
    }

    /// Adds a path: `folder` relative to its source, and a name in it. Folders that follow one
    /// another are kept once.
    pub(super) fn push(&mut self, source: usize, folder: &[u8], name: &[u8]) -> Result<PathAt, Error> {
        if self.folders.last().is_none_or(|(s, f)| (*s, &**f) != (source, folder)) {
            self.folders.push((source, folder.into()));
        }
        let narrow = |n: usize| u32::try_from(n).map_err(|_| Error::Bug("paths of a segment above 4 GiB".to_owned()));
        let at = PathAt {
            folder: narrow(self.folders.len() - 1)?,
            name: narrow(self.names.len())?,
            name_length: narrow(name.len())?,
        };
        self.names.extend_from_slice(name);
        Ok(at)
    }

    /// The real path.
    pub(super) fn real(&self, at: PathAt) -> PathBuf {
        let mut relative = Vec::new();
        let root = self.relative(at, &mut relative);
        root.root.join(OsStr::from_bytes(&relative))
    }

    /// Puts the path relative to its source into `path`, and gives back the source.
    fn relative(&self, at: PathAt, path: &mut Vec<u8>) -> &Root {
        let (source, folder) = &self.folders[at.folder as usize];
        let start = at.name as usize;
        let name = &self.names[start..start + at.name_length as usize];
        path.clear();
        path.extend_from_slice(folder);
        if !folder.is_empty() && !name.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        &self.roots[*source]
    }

    /// The root of `label`: of the source that has this label now, else where it was `then`.
    fn root(&mut self, label: &str, then: &[u8]) -> usize {
        let then = Path::new(OsStr::from_bytes(then));
        let known = self.roots.iter().position(|r| r.label == label);
        known.unwrap_or_else(|| {
            self.roots.push(Root { label: label.to_owned(), root: then.to_owned() });
            self.roots.len() - 1
        })
    }
}

/// Publishes the private table of paths; `inputs` in ascending source_id.
pub(super) fn publish(private: &OutputFolder, name: &str, paths: &Paths, inputs: &[Input]) -> Result<(), Error> {
    written(private, name, paths, inputs)?.publish().map(|_| ())
}

fn written(private: &OutputFolder, name: &str, paths: &Paths, inputs: &[Input]) -> Result<Unpublished, Error> {
    let mut file = private.begin(name)?;
    table::write(inputs, |inputs| batch(paths, inputs), &[], &mut file, &private.path(name))?;
    Ok(file)
}

fn batch(paths: &Paths, inputs: &[Input]) -> Result<RecordBatch, Error> {
    let (mut labels, mut roots, mut tails) = (StringBuilder::new(), BinaryBuilder::new(), BinaryBuilder::new());
    let mut relative = Vec::new();
    for input in inputs {
        let root = paths.relative(input.at, &mut relative);
        labels.append_value(&root.label);
        roots.append_value(root.root.as_os_str().as_bytes());
        tails.append_value(&relative);
    }
    let sizes = inputs.iter().map(|input| input.stamp.map(|(size, _)| wide(size)).transpose());
    let times: Int64Array = inputs.iter().map(|input| input.stamp.map(|(_, time)| time)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("source_id", source_ids(inputs.iter().map(|input| input.source_id)), false),
        ("label", Arc::new(labels.finish()) as ArrayRef, false),
        ("root", Arc::new(roots.finish()) as ArrayRef, false),
        ("path", Arc::new(tails.finish()) as ArrayRef, false),
        ("size", Arc::new(sizes.collect::<Result<Int64Array, _>>()?) as ArrayRef, true),
        ("mtime_ns", Arc::new(times) as ArrayRef, true),
    ])
    .map_err(|e| Error::Bug(format!("columns of the path table: {e}")))
}

/// A table of paths that was read back.
pub(super) struct Read {
    paths: Paths,
    inputs: Vec<Input>,
    /// A source is no longer where the table says.
    is_moved: bool,
}

/// As [`read`]; where a source is elsewhere by now, the table is written anew, for those who read it: the
/// same but for the roots. Where the table is lost or damaged, it is made again from what lies in the sources
/// now: with the sizes and times of now, and without what was not planned and has gone.
///
/// `planned` and `rows` are what the segment and its ledger say.
///
/// # Errors
/// As [`read`]; [`Error::Verify`] where the table is lost and a planned input has gone.
pub(super) fn read_or_find(
    private: &OutputFolder,
    name: &str,
    (sources, key): (&[Source], &Key),
    (planned, rows): (&[PlannedInput], &[LedgerRow]),
) -> Result<(Paths, Vec<Input>), Error> {
    match read(private, name, sources) {
        Err(Error::OutputIo { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(Error::Verify(_)) => private.set_aside(name).map(|_| ())?,
        Ok(table) if table.is_moved => {
            written(private, name, &table.paths, &table.inputs)?.replace()?;
            return Ok((table.paths, table.inputs));
        }
        table => return table.map(|table| (table.paths, table.inputs)),
    }
    tracing::warn!("{}: lost or damaged; it is made again from the sources", private.path(name).display());
    let mut planned: BTreeSet<SourceId> = planned.iter().map(|input| input.source_id).collect();
    let rows: BTreeSet<SourceId> = rows.iter().map(|row| row.source_id).collect();
    let (all, mut paths, mut inputs) = (planned.len(), Paths::of(sources), Vec::new());
    for found in Walk::new(sources, key)? {
        if planned.remove(&found.source_id) || rows.contains(&found.source_id) {
            let at = paths.push(found.folder.source, found.folder.path.as_bytes(), found.name.as_bytes())?;
            inputs.push(Input { source_id: found.source_id, at, stamp: stamp(&found.what) });
        }
    }
    if !planned.is_empty() {
        let (path, gone) = (private.path(name), planned.len());
        let problem = format!("{}: lost, and {gone} of {all} planned inputs are in no source any more", path.display());
        return Err(Error::Verify(problem));
    }
    publish(private, name, &paths, &inputs)?;
    Ok((paths, inputs))
}

/// Reads the private table of paths. Sources are looked up by label, so a tree that was moved is
/// found where it is now.
fn read(private: &OutputFolder, name: &str, sources: &[Source]) -> Result<Read, Error> {
    read_stored(&private.open(name)?, sources)
}

/// As [`read`], of a file that is open.
pub(super) fn read_stored(file: &Stored, sources: &[Source]) -> Result<Read, Error> {
    let rows = table::read_stored(file)?.rows;
    let wrong = |problem: String| Error::Verify(format!("{} is no path table: {problem}", file.path().display()));
    let ids = array::<StringArray>(&rows, "source_id").map_err(wrong)?;
    let labels = array::<StringArray>(&rows, "label").map_err(wrong)?;
    let roots = array::<BinaryArray>(&rows, "root").map_err(wrong)?;
    let tails = array::<BinaryArray>(&rows, "path").map_err(wrong)?;
    let sizes = array::<Int64Array>(&rows, "size").map_err(wrong)?;
    let times = array::<Int64Array>(&rows, "mtime_ns").map_err(wrong)?;
    let mut paths = Paths::of(sources);
    let mut inputs = Vec::with_capacity(rows.num_rows());
    let mut is_moved = false;
    for row in 0..rows.num_rows() {
        let source = paths.root(labels.value(row), roots.value(row));
        is_moved |= paths.roots[source].root.as_os_str().as_bytes() != roots.value(row);
        let tail = tails.value(row);
        let (folder, name) = match tail.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&tail[..slash], &tail[slash + 1..]),
            None => (&tail[..0], tail),
        };
        inputs.push(Input {
            source_id: ids.value(row).parse().map_err(wrong)?,
            at: paths.push(source, folder, name)?,
            stamp: sizes.is_valid(row).then(|| (sizes.value(row).cast_unsigned(), times.value(row))),
        });
    }
    Ok(Read { paths, inputs, is_moved })
}
