//! Where bytes come from: the SOURCE arguments of the command line, and the walk over their files.

pub(crate) mod patience;
mod walk;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use crate::error::Error;

use patience::is_out_of_descriptors;
#[cfg(test)]
pub(crate) use walk::Folder;
pub(crate) use walk::{Found, Walk, What};

/// One SOURCE: a folder, or a single file, with the label that stands for it in every identity.
///
/// An input's path is (label, path relative to the source); where the source lies on this machine
/// is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    label: String,
    given: PathBuf,
    root: PathBuf,
    only: Option<OsString>,
}

impl Source {
    /// Reads one argument: `PATH`, or `label=PATH`. What stands before the first `=` is a label if
    /// it is not empty and holds no `/`; so a path with `=` in its first component is written
    /// `./a=b`. Without a label, the last component of the real path is the label.
    ///
    /// # Errors
    /// [`Error::SourceIo`] where there is no such path; [`Error::Usage`] where the path has no last
    /// component that is UTF-8.
    pub fn parse(argument: &OsStr) -> Result<Source, Error> {
        let (label, given) = split_label(argument)?;
        let real = given.canonicalize().map_err(|source| source_io("find", &given, source))?;
        let label = match label {
            Some(label) => label,
            None => match real.file_name().and_then(OsStr::to_str) {
                Some(name) => name.to_owned(),
                None => {
                    return Err(Error::Usage(format!(
                        "source {}: its name cannot serve as a label; give one, as in label={}",
                        given.display(),
                        given.display()
                    )));
                }
            },
        };
        let is_folder = real.metadata().map_err(|source| source_io("read", &given, source))?.is_dir();
        Ok(match (is_folder, real.parent(), real.file_name()) {
            (false, Some(parent), Some(name)) => {
                Source { label, given, root: parent.to_owned(), only: Some(name.to_owned()) }
            }
            _ => Source { label, given, root: real, only: None },
        })
    }

    /// The name that stands for this source in identities.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The real path of the folder that relative paths start from: the source, or the folder of a
    /// source that is a single file.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The real path of the source itself.
    fn real(&self) -> PathBuf {
        self.only.as_ref().map_or_else(|| self.root.clone(), |name| self.root.join(name))
    }

    /// Whether the source is still there, asked when one of its inputs could not be read: a share
    /// that is no longer mounted is an empty folder, and must not turn every slice into a reject.
    ///
    /// # Errors
    /// [`Error::SourceIo`] where it is gone, cannot be listed, or holds no file any more.
    pub fn check_stands(&self) -> Result<(), Error> {
        let gone = |source| Error::SourceIo { doing: "go on reading", path: self.given.clone(), source };
        if self.only.is_some() {
            return std::fs::metadata(self.real()).map(|_| ()).map_err(gone);
        }
        match self.check_not_empty() {
            Err(Error::Usage(_)) => {
                Err(gone(io::Error::new(io::ErrorKind::NotFound, "there is no file in it any more")))
            }
            other => other,
        }
    }

    /// # Errors
    /// [`Error::SourceIo`] where the folder cannot be listed, [`Error::Usage`] where there is
    /// nothing in it but folders.
    fn check_not_empty(&self) -> Result<(), Error> {
        if self.only.is_some() {
            return Ok(());
        }
        for entry in WalkDir::new(&self.root) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Err(error) if error.depth() == 0 && !error.io_error().is_some_and(is_out_of_descriptors) => {
                    return Err(source_io("list", &self.given, error.into()));
                }
                // A file; or a folder that cannot be listed, now, or at all: then it becomes a row of the
                // ledger.
                _ => return Ok(()),
            }
        }
        Err(Error::Usage(format!("source {} is empty: there is no file in it", self.given.display())))
    }
}

/// Reads the SOURCE arguments; nothing is written, no file is opened.
///
/// # Errors
/// [`Error::Usage`]: no source, two equal labels, or a source without any file;
/// [`Error::SourceIo`]: a source that is missing or cannot be listed.
pub fn resolve<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Vec<Source>, Error> {
    let sources = arguments.iter().map(|a| Source::parse(a.as_ref())).collect::<Result<Vec<_>, _>>()?;
    if sources.is_empty() {
        return Err(Error::Usage("no source is named; at least one folder or file is expected".to_owned()));
    }
    let mut labels = BTreeMap::new();
    for source in &sources {
        if let Some(first) = labels.insert(source.label.as_str(), source) {
            return Err(Error::Usage(format!(
                "sources {} and {} have the same label {:?}; give one of them another, as in {}-2={}",
                first.given.display(),
                source.given.display(),
                source.label,
                source.label,
                source.given.display()
            )));
        }
    }
    sources.iter().try_for_each(Source::check_not_empty)?;
    Ok(sources)
}

/// Refuses an output folder that lies inside a source, or holds one. Real paths are compared, also
/// where `out` does not exist yet; `private` is the private folder beside it.
///
/// # Errors
/// [`Error::Usage`].
pub fn keep_apart(sources: &[Source], out: &Path, private: &Path) -> Result<(), Error> {
    for folder in [out, private] {
        let real_folder =
            real_path(folder).map_err(|error| Error::Usage(format!("--out {}: {error}", out.display())))?;
        for source in sources {
            let (real, given) = (source.real(), source.given.display());
            if real_folder.starts_with(&real) {
                return Err(Error::Usage(format!(
                    "--out {} lies inside source {given}; name a folder outside every source",
                    out.display()
                )));
            }
            if real.starts_with(&real_folder) {
                return Err(Error::Usage(format!(
                    "source {given} lies inside {}, which is for output; name a source elsewhere",
                    folder.display()
                )));
            }
        }
    }
    Ok(())
}

/// The real path of something that need not exist: its longest existing ancestor with every link
/// resolved, and the rest as it was written, `.` and `..` taken out.
pub(crate) fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut real = std::env::current_dir()?;
    for component in path.components() {
        match component {
            Component::ParentDir => {
                real.pop();
            }
            Component::CurDir => {}
            other => {
                real.push(other);
                if let Ok(resolved) = real.canonicalize() {
                    real = resolved;
                }
            }
        }
    }
    Ok(real)
}

fn split_label(argument: &OsStr) -> Result<(Option<String>, PathBuf), Error> {
    let bytes = argument.as_bytes();
    let Some(at) = bytes.iter().position(|&byte| byte == b'=') else {
        return Ok((None, PathBuf::from(argument)));
    };
    if at == 0 || bytes[..at].contains(&b'/') {
        return Ok((None, PathBuf::from(argument)));
    }
    let label = std::str::from_utf8(&bytes[..at])
        .map_err(|_| Error::Usage("the label of a source is not UTF-8; a label is a word".to_owned()))?;
    Ok((Some(label.to_owned()), PathBuf::from(OsString::from_vec(bytes[at + 1..].to_vec()))))
}

fn source_io(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::SourceIo { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn usage(result: Result<impl std::fmt::Debug, Error>) -> String {
        match result {
            Err(Error::Usage(message)) => message,
            other => panic!("expected a usage error, got {other:?}"),
        }
    }

    #[test]
    fn a_label_is_given_or_the_last_component_of_the_real_path() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let scans = dir.path().join("scans");
        fs::create_dir_all(scans.join("sub"))?;
        fs::write(scans.join("f"), "x")?;
        std::os::unix::fs::symlink(&scans, dir.path().join("link"))?;
        let label = |path: &Path| Source::parse(path.as_os_str()).expect("a source").label().to_owned();
        assert_eq!(label(&scans), "scans");
        assert_eq!(label(&scans.join("sub/..")), "scans");
        assert_eq!(label(&scans.join(".")), "scans");
        assert_eq!(label(&dir.path().join("link")), "scans");
        assert_eq!(label(&scans.join("f")), "f");
        let mut given = OsString::from("one=");
        given.push(&scans);
        let source = Source::parse(&given).expect("a source");
        assert_eq!((source.label(), source.root()), ("one", scans.canonicalize()?.as_path()));
        Ok(())
    }

    #[test]
    fn a_path_with_an_equals_sign_is_a_path_if_a_slash_comes_before() -> Result<(), Error> {
        assert_eq!(split_label(OsStr::new("./a=b"))?, (None, PathBuf::from("./a=b")));
        assert_eq!(split_label(OsStr::new("=b"))?, (None, PathBuf::from("=b")));
        assert_eq!(split_label(OsStr::new("a=b=c"))?, (Some("a".to_owned()), PathBuf::from("b=c")));
        Ok(())
    }

    #[test]
    fn usage_errors_name_the_thing_and_the_way_out() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (one, two) = (dir.path().join("a/scans"), dir.path().join("b/scans"));
        for folder in [&one, &two] {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("f"), "x")?;
        }
        let message = usage(resolve(&[&one, &two]));
        assert!(message.contains("the same label \"scans\"; give one of them another, as in scans-2="), "{message}");
        let empty = dir.path().join("empty");
        fs::create_dir_all(empty.join("nested"))?;
        let message = usage(resolve(&[&empty]));
        assert!(message.ends_with("is empty: there is no file in it"), "{message}");
        assert!(usage(resolve::<&OsStr>(&[])).starts_with("no source"));
        assert!(usage(resolve(&[Path::new("/")])).contains("give one, as in label=/"));
        let missing = resolve(&[dir.path().join("missing")]).expect_err("no such folder");
        assert!(matches!(&missing, Error::SourceIo { doing: "find", .. }), "{missing}");
        Ok(())
    }

    #[test]
    fn output_and_source_never_hold_one_another() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let scans = dir.path().join("scans");
        fs::create_dir_all(&scans)?;
        fs::write(scans.join("f"), "x")?;
        std::os::unix::fs::symlink(&scans, dir.path().join("link"))?;
        let sources = resolve(&[&scans]).expect("a source");
        let check = |out: PathBuf| keep_apart(&sources, &out, &out.with_extension("private"));
        assert!(usage(check(scans.clone())).contains("lies inside source"));
        assert!(usage(check(scans.join("not/there/yet"))).contains("lies inside source"));
        assert!(usage(check(dir.path().join("link/out"))).contains("lies inside source"));
        assert!(usage(check(scans.join("x/../out"))).contains("lies inside source"));
        assert!(usage(check(dir.path().to_owned())).contains("which is for output"));
        check(dir.path().join("scans-out")).expect("a sibling is no child");
        let private = dir.path().join("out.private");
        fs::create_dir_all(private.join("paths"))?;
        fs::write(private.join("paths/f"), "x")?;
        let inside = resolve(&[private.join("paths")]).expect("a source");
        assert!(usage(keep_apart(&inside, &dir.path().join("out"), &private)).contains("which is for output"));
        Ok(())
    }
}
