//! What verification found.

use std::collections::BTreeSet;
use std::fmt;

use crate::sink::digest::RowsDigest;
use crate::sink::ledger::Tally;

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Empty if all is well.
    pub problems: Vec<Problem>,
    /// Shards that the plan asks for.
    pub shards: u64,
    /// Of these, shards that were read whole.
    pub shards_read: u64,
    /// Rows in the shards that are there.
    pub rows: u64,
    /// Bytes of the shards that are there.
    pub bytes: u64,
    /// The sum of the shards' digests: of what was read in the shards that were read whole, else as
    /// their ledger parts say.
    pub rows_digest: RowsDigest,
    /// All ledgers together, and what the plan found. Of an input the latest word counts.
    pub tally: Tally,
    /// Slices that were made again; `None` where that was not asked for.
    pub compared: Option<Compared>,
}

/// Something that is not as promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file below OUT that it is about.
    pub file: String,
    /// One line: the file, what was found, what was expected.
    pub line: String,
    /// What can be done about it.
    pub remedy: Remedy,
}

/// What can be done about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// `convert` makes the file again, once it is out of its place.
    SetAside,
    /// `convert` makes the file as it is.
    Convert,
    /// The file cannot be made again from OUT and the sources: a copy of it is needed, or a new OUT.
    Restore,
    /// None that this program knows.
    Look,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl Findings {
    /// The files that are to be set aside, sorted. None where the plan is damaged: then it does not tell
    /// what the others should be, and `convert` would not go on.
    pub fn to_set_aside(&self) -> BTreeSet<&str> {
        if self.to_restore().is_empty() { self.files(Remedy::SetAside) } else { BTreeSet::new() }
    }

    /// The files that cannot be made again, sorted.
    pub fn to_restore(&self) -> BTreeSet<&str> {
        self.files(Remedy::Restore)
    }

    fn files(&self, remedy: Remedy) -> BTreeSet<&str> {
        self.problems.iter().filter(|p| p.remedy == remedy).map(|p| p.file.as_str()).collect()
    }
}

/// What came of the slices that were to be made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Slices, and inputs rejected by their header, that were chosen.
    pub chosen: u64,
    /// Made again, and compared.
    pub compared: u64,
    /// Not compared: their file has gone.
    pub gone: u64,
    /// Not compared: size or modification time of their file is another.
    pub changed: u64,
    /// Not compared: their file cannot be read now.
    pub unreadable: u64,
    /// Not compared: of a source whose label was not named.
    pub elsewhere: u64,
    /// Not compared: their shard is missing or damaged, and named.
    pub damaged: u64,
    /// Not compared: their path is in no path table of the private folder.
    pub lost: u64,
}

impl Compared {
    /// Nothing was compared, though there was something.
    pub fn none(&self) -> bool {
        self.chosen > 0 && self.compared == 0
    }
}

impl fmt::Display for Compared {
    /// "compared 98 of 100 slices with their source; not compared: 2 whose file has gone".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compared {} of {} slices with their source", self.compared, self.chosen)?;
        let whys = [
            (self.gone, "whose file has gone"),
            (self.changed, "whose file has changed"),
            (self.unreadable, "whose file cannot be read"),
            (self.elsewhere, "of a source that is not named"),
            (self.damaged, "of a shard that is damaged"),
            (self.lost, "whose path is lost"),
        ];
        let whys: Vec<String> = whys.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")).collect();
        if whys.is_empty() { Ok(()) } else { write!(f, "; not compared: {}", whys.join(", ")) }
    }
}
