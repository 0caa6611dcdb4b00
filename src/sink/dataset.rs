//! Opening OUT: its lock, its key, and `dataset.json`, which says what it was made with.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::disk::Disk;
use super::publish::{self, OutputFolder};
use super::storage::{Lock, Share, Storage, Stored};
use super::table;
use crate::error::Error;
use crate::identity::Key;
use crate::recipe::{Privacy, Recipe};
use crate::source::real_path;

/// Name below OUT of what the data set was made with.
pub const DATASET_NAME: &str = "dataset.json";
const LOCK_NAME: &str = ".lock";
const KEY_NAME: &str = "key";
/// What a first run may leave behind that was killed before it published `dataset.json`.
/// `lost+found`: OUT may be a disk of its own.
const NOT_FOREIGN: [&str; 3] = [LOCK_NAME, ".tmp", "lost+found"];

/// The layout of OUT that this program writes and reads.
const FORMAT: u32 = 1;

pub(crate) const OUT_MODE: u32 = 0o750;
const PRIVATE_MODE: u32 = 0o700;

/// Options of the DICOM confidentiality profile that are not performed.
///
/// # Source
/// DICOM PS3.15, Annex E; codes of PS3.16, CID 7050.
const NOT_DONE: [&str; 2] = ["113101 Clean Pixel Data Option", "113102 Clean Recognizable Visual Features Option"];

/// OUT and OUT.private, open and locked.
#[derive(Debug)]
pub struct Dataset {
    /// OUT: what is shared.
    pub out: OutputFolder,
    /// OUT.private: key and real paths.
    pub private: OutputFolder,
    /// The key of every pseudonym.
    pub key: Key,
    /// [`Recipe::hash`] of the recipe that OUT is made with.
    pub recipe_hash: String,
    /// Held while this value lives; the system lets go of it with the process. `None` where the file
    /// system knows no locks.
    _lock: Option<Box<dyn Lock>>,
}

/// What `dataset.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetFile {
    /// Layout of OUT.
    pub format: u32,
    /// [`Recipe::hash`].
    pub recipe_hash: String,
    /// [`Key::id`].
    pub key_id: String,
    /// [`Recipe::canonical_json`], as an object.
    pub recipe: Value,
    /// What was done to keep patients unknown, and what was not.
    pub privacy: PrivacyNote,
    /// Versions of the crates that decode and encode, where another version might give other bytes.
    pub codecs: BTreeMap<String, String>,
}

/// The privacy part of `dataset.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyNote {
    /// `strict` or `uids`.
    pub policy: String,
    /// What the policy lets through.
    pub columns: String,
    /// DICOM confidentiality options that are not performed, with their codes.
    pub not_done: Vec<String>,
}

impl Dataset {
    /// Opens OUT, or makes it with its private folder, key and `dataset.json`. Leaves what a killed
    /// run had published, and removes its temporary files.
    ///
    /// `key_file` holds 32 raw bytes or 64 hex digits; without it the key is `OUT.private/key`,
    /// which the first run makes.
    ///
    /// # Errors
    /// [`Error::Usage`] for a key file of another form, or an OUT that is no data set of ours;
    /// [`Error::OtherRecipe`] where OUT was made with another recipe or key, one line for each
    /// difference: up to here nothing was touched. Then [`Error::Locked`] and [`Error::OutputIo`].
    pub fn open(out: &Path, recipe: &Recipe, key_file: Option<&Path>) -> Result<Dataset, Error> {
        Dataset::open_on(Arc::new(Disk::default()), out, recipe, key_file, Share::Alone)
    }

    /// As [`Dataset::open`], with OUT and OUT.private on another file system than the machine's, and
    /// with the lock held as `share` says. Nothing that is right depends on the lock: whoever is first
    /// makes the key and `dataset.json`, and others take what they find.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        out: &Path,
        recipe: &Recipe,
        key_file: Option<&Path>,
        share: Share,
    ) -> Result<Dataset, Error> {
        let private = private_folder(out)?;
        let given = key_file.map(read_key_file).transpose()?;
        let key = || match &given {
            Some(key) => Ok(Some(key.clone())),
            None => read_own_key(&*storage, &private),
        };
        check(&*storage, out, recipe, &key)?;

        let folder = OutputFolder::create_on(storage.clone(), out, OUT_MODE)?;
        let lock = lock(&*storage, &folder, share)?;
        let found = check(&*storage, out, recipe, &key)?; // another first run may have come between
        folder.sweep()?;
        let private = OutputFolder::create_on(storage.clone(), &private, PRIVATE_MODE)?;
        tighten(private.root(), PRIVATE_MODE);
        private.sweep()?;
        let key = match found {
            Some(key) => key,
            None => make_key(&private)?,
        };
        let file = DatasetFile::new(recipe, &key)?;
        let there = match DatasetFile::read_on(&*storage, out)? {
            Some(there) => there,
            None => file.put(&folder)?,
        };
        there.check_same(&file, out)?;
        if there.codecs != file.codecs {
            tracing::warn!("{}: made with other codec versions; new shards may differ in bytes", out.display());
        }
        Ok(Dataset { out: folder, private, key, recipe_hash: file.recipe_hash, _lock: lock })
    }
}

impl DatasetFile {
    fn new(recipe: &Recipe, key: &Key) -> Result<DatasetFile, Error> {
        let recipe_json = recipe.canonical_json();
        let policy = match recipe.privacy {
            Privacy::Strict => ("strict", "numbers, closed vocabularies and keyed pseudonyms only"),
            Privacy::Uids => ("uids", "as strict, and Study, Series and SOP Instance UID in the clear"),
        };
        Ok(DatasetFile {
            format: FORMAT,
            recipe_hash: recipe.hash(),
            key_id: key.id(),
            recipe: serde_json::from_str(&recipe_json).map_err(|e| Error::Bug(format!("canonical recipe: {e}")))?,
            privacy: PrivacyNote {
                policy: policy.0.to_owned(),
                columns: policy.1.to_owned(),
                not_done: NOT_DONE.map(str::to_owned).into(),
            },
            codecs: codec_versions(),
        })
    }

    /// Reads `dataset.json` of `out`; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; [`Error::Verify`] where it is not what its name promises.
    pub fn read(out: &Path) -> Result<Option<DatasetFile>, Error> {
        DatasetFile::read_on(&Disk::default(), out)
    }

    pub(crate) fn read_on(storage: &dyn Storage, out: &Path) -> Result<Option<DatasetFile>, Error> {
        let path = out.join(DATASET_NAME);
        let Some(bytes) = read(storage, &path)? else { return Ok(None) };
        DatasetFile::parse(&bytes, &path).map(Some)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<DatasetFile, Error> {
        serde_json::from_slice(bytes).map_err(|e| Error::Verify(format!("{} is damaged: {e}", path.display())))
    }

    /// Publishes it, unless a twin has; gives back what is there.
    fn put(&self, out: &OutputFolder) -> Result<DatasetFile, Error> {
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::Bug(format!("{DATASET_NAME}: {e}")))?;
        let there = out.put_if_absent(DATASET_NAME, format!("{json}\n").as_bytes())?;
        DatasetFile::parse(&there, &out.path(DATASET_NAME))
    }

    /// # Errors
    /// [`Error::OtherRecipe`] where `self`, which OUT has, and `asked` differ in recipe or key.
    fn check_same(&self, asked: &DatasetFile, out: &Path) -> Result<(), Error> {
        let differences = self.differences(asked);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::OtherRecipe(format!(
            "{} was made with another recipe or key; name another --out, or ask for the same:\n  {}",
            out.display(),
            differences.join("\n  ")
        )))
    }

    /// One line for each field in which `self` (OUT) and `asked` (this run) differ.
    fn differences(&self, asked: &DatasetFile) -> Vec<String> {
        let fields = |file: &DatasetFile| {
            let mut fields = BTreeMap::new();
            flatten("", &file.recipe, &mut fields);
            fields.insert("format".to_owned(), file.format.to_string());
            fields
        };
        let (has, asks) = (fields(self), fields(asked));
        let keys: std::collections::BTreeSet<&String> = has.keys().chain(asks.keys()).collect();
        let word = |fields: &BTreeMap<String, String>, key: &str| {
            fields.get(key).cloned().unwrap_or_else(|| "no such key".to_owned())
        };
        let pairs = keys.into_iter().map(|key| (key.as_str(), word(&has, key), word(&asks, key)));
        let key_ids = ("key_id", self.key_id.clone(), asked.key_id.clone());
        pairs
            .chain([key_ids])
            .filter(|(_, has, asks)| has != asks)
            .map(|(key, has, asks)| format!("{key}: OUT has {has}, this run asks {asks}"))
            .collect()
    }
}

/// The private folder beside OUT: its name and `.private`.
///
/// # Errors
/// [`Error::Usage`] where OUT has no name of its own, as `/`.
pub fn private_folder(out: &Path) -> Result<PathBuf, Error> {
    let unusable = |why: &dyn std::fmt::Display| Error::Usage(format!("--out {}: {why}", out.display()));
    let by_name = out.file_name().is_some() && !out.is_symlink();
    let path = if by_name { out.to_owned() } else { real_path(out).map_err(|e| unusable(&e))? };
    let Some(name) = path.file_name() else {
        return Err(unusable(&"expected a folder with a name of its own"));
    };
    let mut name = name.to_owned();
    name.push(".private");
    Ok(path.with_file_name(name))
}

/// Compares what OUT was made with, if it was made, with what this run asks; gives back its key, if it
/// has one. Touches nothing.
fn check(
    storage: &dyn Storage,
    out: &Path,
    recipe: &Recipe,
    key: &dyn Fn() -> Result<Option<Key>, Error>,
) -> Result<Option<Key>, Error> {
    let read = || DatasetFile::read_on(storage, out);
    let file = match read()? {
        Some(file) => file,
        None => match (check_free(storage, out), read()?) {
            (Ok(()), None) => return key(),
            // A first run at the same time has made it since.
            (_, Some(file)) => file,
            (refused, None) => return refused.and(Ok(None)),
        },
    };
    // After the file: where that is there, the key that its run has made is there too.
    let Some(key) = key()? else {
        return Err(Error::OtherRecipe(format!(
            "{} was made with key {}, which is not in its private folder; name its file with --key",
            out.display(),
            file.key_id
        )));
    };
    file.check_same(&DatasetFile::new(recipe, &key)?, out)?;
    Ok(Some(key))
}

/// An OUT without `dataset.json` may be missing, empty, or what a killed first run left.
fn check_free(storage: &dyn Storage, out: &Path) -> Result<(), Error> {
    let entries = match storage.list(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::Usage(format!("--out {} is a file, expected a folder", out.display())));
        }
        Err(source) => return Err(Error::OutputIo { doing: "list", path: out.to_owned(), source }),
    };
    for entry in entries {
        if !NOT_FOREIGN.iter().any(|name| entry == *name) {
            return Err(Error::Usage(format!(
                "--out {} holds other files and no {DATASET_NAME}; name an empty folder, or one that is not there",
                out.display()
            )));
        }
    }
    Ok(())
}

/// The lock of OUT: comfort, not safety. `None` where the file system knows none.
///
/// # Errors
/// [`Error::Locked`] where another run has it.
pub(crate) fn lock(storage: &dyn Storage, out: &OutputFolder, share: Share) -> Result<Option<Box<dyn Lock>>, Error> {
    let path = out.path(LOCK_NAME);
    match storage.lock(&path, 0o640, share) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Error::Locked(out.root().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(
                "{}: the file system knows no locks; two runs at once do no harm but work twice, and what killed \
                 runs leave in .tmp stays there",
                out.root().display()
            );
            Ok(None)
        }
        Err(source) => Err(Error::OutputIo { doing: "lock", path, source }),
    }
}

/// The bytes of a small file; `None` where there is none.
fn read(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match Stored::open(storage, path).and_then(|stored| stored.bytes()) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::OutputIo { doing: "read", path: path.to_owned(), source }),
    }
}

/// The key that a first run made; `None` where there is none yet.
fn read_own_key(storage: &dyn Storage, private: &Path) -> Result<Option<Key>, Error> {
    let path = private.join(KEY_NAME);
    let Some(bytes) = read(storage, &path)? else { return Ok(None) };
    tighten(&path, 0o600);
    key_of(&bytes, &path).map(Some)
}

/// The key of a file of ours.
fn key_of(bytes: &[u8], path: &Path) -> Result<Key, Error> {
    let key = <[u8; 32]>::try_from(bytes);
    let wrong = |_| Error::Verify(format!("{} holds {} bytes, expected 32", path.display(), bytes.len()));
    key.map(Key::new).map_err(wrong)
}

/// The key in `key_file`, else in the private folder of `out`; `None` where there is none.
///
/// # Errors
/// As [`Dataset::open`] of a key.
pub(crate) fn find_key(out: &Path, key_file: Option<&Path>) -> Result<Option<Key>, Error> {
    match key_file {
        Some(file) => read_key_file(file).map(Some),
        None => read_own_key(&Disk::default(), &private_folder(out)?),
    }
}

fn read_key_file(path: &Path) -> Result<Key, Error> {
    let unusable = |why: String| Error::Usage(format!("--key {}: {why}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| unusable(e.to_string()))?;
    file.take(128).read_to_end(&mut bytes).map_err(|e| unusable(e.to_string()))?;
    let key = match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(raw) => Some(raw),
        Err(_) => {
            let mut decoded = [0; 32];
            hex::decode_to_slice(bytes.trim_ascii(), &mut decoded).ok().map(|()| decoded)
        }
    };
    let key = key.ok_or_else(|| unusable("expected 32 raw bytes or 64 hex digits".to_owned()))?;
    tighten(path, 0o600);
    Ok(Key::new(key))
}

fn make_key(private: &OutputFolder) -> Result<Key, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Error::Bug(format!("the system gives no random bytes: {e}")))?;
    let there = private.put_if_absent(KEY_NAME, &bytes)?;
    key_of(&there, &private.path(KEY_NAME))
}

/// Takes away what others may do with a secret; with one warning, and never a refusal.
fn tighten(path: &Path, mode: u32) {
    let Ok(metadata) = path.metadata() else { return };
    let found = metadata.permissions().mode() & 0o777;
    if found & !mode == 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(found & mode)) {
        Ok(()) => tracing::warn!("{}: permissions were {found:03o}, now {:03o}", path.display(), found & mode),
        Err(error) => tracing::warn!("{}: permissions are {found:03o}, expected {mode:03o}: {error}", path.display()),
    }
}

/// SHA-256 of a file of ours, 64 lower-case hex digits.
pub(crate) fn sha256_of(path: &Path) -> Result<String, Error> {
    sha256_of_stored(&table::on_disk(path)?)
}

/// As [`sha256_of`], of a file that is open.
pub(crate) fn sha256_of_stored(file: &Stored) -> Result<String, Error> {
    let failed = |source| Error::OutputIo { doing: "read", path: file.path().to_owned(), source };
    publish::hash(&mut file.reader()).map(|published| published.sha256).map_err(failed)
}

/// Every leaf of a JSON object by its dotted key. A whole number is printed without its fraction.
fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let word = match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{key}"), value, into);
            }
            return;
        }
        other => other.to_string(),
    };
    into.insert(prefix.to_owned(), word.strip_suffix(".0").map(str::to_owned).unwrap_or(word));
}

/// Versions of the crates on which bytes of the output may depend, as this program was built.
fn codec_versions() -> BTreeMap<String, String> {
    const CRATES: [&str; 6] = ["dcmshard", "flate2", "jxl", "lz4_flex", "parquet", "zstd-sys"];
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some((name.to_owned(), rest.split_once('"')?.0.to_owned()))
    };
    CRATES.iter().filter_map(|name| version(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("attributes").permissions().mode() & 0o777
    }

    fn other_recipe(result: Result<Dataset, Error>) -> String {
        match result {
            Err(Error::OtherRecipe(message)) => message,
            other => panic!("expected another recipe, got {other:?}"),
        }
    }

    #[test]
    fn the_first_run_makes_key_and_private_folder_and_the_next_one_finds_them() -> Tested {
        let dir = tempfile::tempdir()?;
        let (out, private) = (dir.path().join("out"), dir.path().join("out.private"));
        let first = Dataset::open(&out, &Recipe::head(), None)?;
        assert_eq!((mode(&private), mode(&private.join("key"))), (0o700, 0o600));
        assert_eq!(fs::read(private.join("key"))?, first.key.bytes());
        let file = DatasetFile::read(&out)?.ok_or("a file")?;
        assert_eq!((&file.recipe_hash, file.key_id), (&first.recipe_hash, first.key.id()));
        assert_eq!(file.recipe.to_string(), Recipe::head().canonical_json());
        assert!(file.codecs.len() == 6, "{:?}", file.codecs);
        drop(first);
        let bytes = fs::read(out.join(DATASET_NAME))?;
        let again = Dataset::open(&out, &Recipe::head(), None)?;
        assert_eq!(fs::read(out.join(DATASET_NAME))?, bytes);
        assert_eq!(again.key.id(), DatasetFile::read(&out)?.ok_or("a file")?.key_id);
        assert!(!String::from_utf8(bytes)?.contains(&hex::encode(again.key.bytes())));
        Ok(())
    }

    #[test]
    fn a_second_run_at_the_same_time_is_refused() -> Tested {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("out");
        let first = Dataset::open(&out, &Recipe::head(), None)?;
        assert!(matches!(Dataset::open(&out, &Recipe::head(), None), Err(Error::Locked(path)) if path == out));
        drop(first);
        Dataset::open(&out, &Recipe::head(), None)?;
        Ok(())
    }

    #[test]
    fn another_recipe_or_key_is_refused_with_one_line_for_each_difference() -> Tested {
        let dir = tempfile::tempdir()?;
        let (out, key) = (dir.path().join("out"), dir.path().join("other-key"));
        let id = Dataset::open(&out, &Recipe::head(), None)?.key.id();
        let mut recipe = Recipe::head();
        recipe.tilt.max_angle_deg = 30.0;
        recipe.output.rows_per_shard = 7;
        let message = other_recipe(Dataset::open(&out, &recipe, None));
        let lines: Vec<&str> = message.lines().skip(1).map(str::trim).collect();
        let expected = [
            "output.rows_per_shard: OUT has 1024, this run asks 7",
            "tilt.max_angle_deg: OUT has 45, this run asks 30",
        ];
        assert_eq!(lines, expected);
        fs::write(&key, [7; 32])?;
        let message = other_recipe(Dataset::open(&out, &Recipe::head(), Some(&key)));
        let asked = Key::new([7; 32]).id();
        assert!(message.ends_with(&format!("key_id: OUT has {id}, this run asks {asked}")), "{message}");
        fs::remove_file(dir.path().join("out.private/key"))?;
        let message = other_recipe(Dataset::open(&out, &Recipe::head(), None));
        assert!(message.contains(&format!("was made with key {id}, which is not in its private folder")), "{message}");
        assert!(!dir.path().join("out.private/key").exists());
        Ok(())
    }

    #[test]
    fn a_key_file_is_32_raw_bytes_or_64_hex_digits() -> Tested {
        let dir = tempfile::tempdir()?;
        let (out, key) = (dir.path().join("out"), dir.path().join("k"));
        for bad in [&[0_u8; 31][..], &[0; 33], b"", "g".repeat(64).as_bytes(), "ab".repeat(33).as_bytes()] {
            fs::write(&key, bad)?;
            let refused = Dataset::open(&out, &Recipe::head(), Some(&key));
            let message = refused.expect_err("no key").to_string();
            assert!(message.ends_with("expected 32 raw bytes or 64 hex digits"), "{message}");
        }
        assert!(matches!(Dataset::open(&out, &Recipe::head(), Some(&out.join("no"))), Err(Error::Usage(_))));
        assert!(!out.exists() && !dir.path().join("out.private").exists());
        fs::write(&key, format!("{}\n", hex::encode([9; 32])))?;
        fs::set_permissions(&key, Permissions::from_mode(0o644))?;
        let dataset = Dataset::open(&out, &Recipe::head(), Some(&key))?;
        assert_eq!(dataset.key.id(), Key::new([9; 32]).id());
        assert_eq!(mode(&key), 0o600);
        assert!(!dataset.private.path("key").exists());
        Ok(())
    }

    #[test]
    fn a_wide_private_folder_is_tightened() -> Tested {
        let dir = tempfile::tempdir()?;
        let private = dir.path().join("out.private");
        fs::create_dir(&private)?;
        fs::write(private.join("key"), [3; 32])?;
        fs::set_permissions(&private, Permissions::from_mode(0o755))?;
        fs::set_permissions(private.join("key"), Permissions::from_mode(0o666))?;
        let dataset = Dataset::open(&dir.path().join("out"), &Recipe::head(), None)?;
        assert_eq!((mode(&private), mode(&private.join("key"))), (0o700, 0o600));
        assert_eq!(dataset.key.bytes(), &[3; 32]);
        Ok(())
    }

    #[test]
    fn a_folder_of_other_files_is_not_taken_for_out() -> Tested {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("home");
        fs::create_dir_all(out.join(".tmp"))?;
        fs::write(out.join("letter"), "x")?;
        fs::write(out.join(".tmp/letter"), "x")?;
        let message = Dataset::open(&out, &Recipe::head(), None).expect_err("other files").to_string();
        assert!(message.contains("holds other files and no dataset.json"), "{message}");
        assert!(out.join(".tmp/letter").exists() && !dir.path().join("home.private").exists());
        let message = Dataset::open(&out.join("letter"), &Recipe::head(), None).expect_err("a file").to_string();
        assert!(message.ends_with("is a file, expected a folder"), "{message}");
        Ok(())
    }

    #[test]
    fn the_private_folder_lies_beside_out_however_out_is_named() -> Tested {
        let dir = tempfile::tempdir()?;
        let real = dir.path().canonicalize()?;
        assert_eq!(private_folder(Path::new("out/"))?, Path::new("out.private"));
        fs::create_dir(real.join("out"))?;
        std::os::unix::fs::symlink(real.join("out"), real.join("link"))?;
        assert_eq!(private_folder(&real.join("link"))?, real.join("out.private"));
        assert_eq!(private_folder(&real.join("out/x/.."))?, real.join("out.private"));
        assert!(matches!(private_folder(Path::new("/")), Err(Error::Usage(_))));
        Ok(())
    }
}
