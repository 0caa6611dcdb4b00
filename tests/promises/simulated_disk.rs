//! A file system in memory that can fail, be killed and lose power at any operation: what lies below
//! the sink side in the promises about faults.
//!
//! It keeps apart what a reader sees and what is on the platter, and takes no promise for granted
//! that POSIX does not make: a file's bytes are safe after a sync of the file, an entry of a folder
//! after a sync of the folder, and neither sync does the other's work. A failed sync of a file loses
//! its unsynced bytes for good, and a later sync of it reports success.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dcmshard::sink::storage::{Lock, Room, Share, Storage, StoredFile};
use rustix::io::Errno;

/// One write-side operation, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub call: &'static str,
    pub path: PathBuf,
}

impl Operation {
    /// The name of the file or folder, without where it is.
    pub fn file_name(&self) -> &str {
        self.path.file_name().and_then(OsStr::to_str).unwrap_or_default()
    }
}

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is gone before the operation; what it wrote stays in the cache.
    Kill,
    /// The process is gone in the middle of a write.
    KillHalfway,
    /// The operation fails, once.
    Error(Errno),
    /// This operation and all that come after it fail.
    ErrorForEver(Errno),
    /// A write takes half of what it is given, and says so.
    Short,
    /// A write takes one byte, and says so.
    OneByte,
    /// The operation is done, and reported as failed: a network file system lost the reply.
    LostReply,
}

/// Which operation a fault happens at.
#[derive(Clone, Debug)]
enum Aim {
    /// By number, from 0; threads take turns as they like, so runs may differ in what that is.
    Number(usize),
    /// By number among those of one kind on files whose name begins so, which is the same in all runs.
    Named { call: &'static str, name: &'static str, number: usize },
}

/// Storage that keeps its promises less well than it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lies {
    /// A sync of a file does nothing: as if the program did not sync before it renames.
    pub no_file_sync: bool,
    /// A sync of a folder does nothing: as if the program did not sync it after a rename.
    pub no_folder_sync: bool,
    /// A sync of a file whose name begins so does nothing: the disk lies.
    pub no_sync_of: Option<&'static str>,
}

type Id = usize;
const ROOT: Id = 0;

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Arc<Vec<u8>>,
    /// So many of them are on the platter.
    safe: usize,
    /// A sync has failed.
    lost: bool,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    entries: BTreeMap<OsString, Id>,
    /// Those on the platter.
    safe: BTreeMap<OsString, Id>,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Folder(Folder),
}

/// An entry that was changed and not synced since.
#[derive(Clone, Debug)]
struct Change {
    folder: Id,
    name: OsString,
    to: Option<Id>,
}

/// What became of the unsynced end of a file.
#[derive(Clone, Copy, Debug)]
enum Tail {
    Lost,
    Kept,
    Half,
    /// All but half of the last block.
    TornBlock,
    Zeros,
    HalfThenZeros,
    ZerosThenHalf,
}

/// What a disk writes at once.
const BLOCK: usize = 512;

const TAILS: [Tail; 7] =
    [Tail::Kept, Tail::Lost, Tail::Half, Tail::TornBlock, Tail::Zeros, Tail::HalfThenZeros, Tail::ZerosThenHalf];

/// All that the file system knows at one moment.
#[derive(Clone, Debug)]
pub struct Image {
    nodes: Vec<Node>,
    changes: Vec<Change>,
}

impl Default for Image {
    fn default() -> Image {
        Image { nodes: vec![Node::Folder(Folder::default())], changes: Vec::new() }
    }
}

impl Image {
    /// The same disk without the files that `gone` names, and nothing else to lose.
    pub fn without(&self, gone: impl Fn(&Path) -> bool) -> Image {
        let mut image = self.clone();
        for path in self.files().into_keys().filter(|path| gone(path)) {
            if let Ok((Node::Folder(folder), name)) =
                image.find_parent(&path).map(|(id, name)| (&mut image.nodes[id], name))
            {
                folder.entries.remove(name);
                folder.safe.remove(name);
            }
        }
        image
    }

    /// Every file by path, as a reader sees it.
    pub fn files(&self) -> BTreeMap<PathBuf, Arc<Vec<u8>>> {
        let mut files = BTreeMap::new();
        self.gather(ROOT, Path::new("/"), &mut files);
        files
    }

    fn gather(&self, folder: Id, path: &Path, files: &mut BTreeMap<PathBuf, Arc<Vec<u8>>>) {
        let Node::Folder(folder) = &self.nodes[folder] else { return };
        for (name, id) in &folder.entries {
            match &self.nodes[*id] {
                Node::File(file) => {
                    files.insert(path.join(name), file.bytes.clone());
                }
                Node::Folder(_) => self.gather(*id, &path.join(name), files),
            }
        }
    }

    /// A number for its files, by name and content.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.files().hash(&mut hasher);
        hasher.finish()
    }

    /// Files and entries that a loss of power may take, outside of what `spare` names.
    pub fn unsafe_names(&self, spare: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let lost = self.after_power_loss(&vec![false; self.changes.len()], Tail::Lost).files();
        let (mut now, mut then) = (self.files(), lost);
        now.retain(|path, _| !spare(path));
        then.retain(|path, _| !spare(path));
        let differ = |path: &&PathBuf| now.get(*path) != then.get(*path);
        let all: BTreeSet<&PathBuf> = now.keys().chain(then.keys()).collect();
        all.into_iter().filter(differ).cloned().collect()
    }

    /// States in which power may leave the disk: each changed entry is there or not, apart from all
    /// others; the unsynced ends of files are lost, torn, or zeros.
    ///
    /// All combinations of up to five entries; of more: all, none, each one alone, each one missing,
    /// each first few, and as many at random. (Of old changes in `.tmp` there are ever more.)
    pub fn after_any_power_loss(&self) -> Vec<Image> {
        let torn = self.nodes.iter().any(|node| matches!(node, Node::File(file) if file.safe < file.bytes.len()));
        let tails = if torn { &TAILS[..] } else { &TAILS[..1] };
        let kept = combinations(self.changes.len());
        kept.iter().flat_map(|kept| tails.iter().map(|tail| self.after_power_loss(kept, *tail))).collect()
    }

    fn after_power_loss(&self, kept: &[bool], tail: Tail) -> Image {
        let mut nodes = self.nodes.clone();
        for (change, _) in self.changes.iter().zip(kept).filter(|(_, kept)| **kept) {
            if let Node::Folder(folder) = &mut nodes[change.folder] {
                match change.to {
                    Some(id) => folder.safe.insert(change.name.clone(), id),
                    None => folder.safe.remove(&change.name),
                };
            }
        }
        for node in &mut nodes {
            match node {
                Node::Folder(folder) => folder.entries = folder.safe.clone(),
                Node::File(file) => file.tear(tail),
            }
        }
        Image { nodes, changes: Vec::new() }
    }

    fn folder(&mut self, id: Id) -> io::Result<&mut Folder> {
        match &mut self.nodes[id] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(Errno::NOTDIR.into()),
        }
    }

    fn file(&mut self, id: Id) -> io::Result<&mut File> {
        match &mut self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(Errno::ISDIR.into()),
        }
    }

    fn find(&mut self, path: &Path) -> io::Result<Id> {
        let relative = path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
        relative.iter().try_fold(ROOT, |folder, name| {
            self.folder(folder)?.entries.get(name).copied().ok_or_else(|| Errno::NOENT.into())
        })
    }

    fn find_parent<'p>(&mut self, path: &'p Path) -> io::Result<(Id, &'p OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL.into()) };
        let id = self.find(parent)?;
        self.folder(id).map(|_| (id, name))
    }

    fn set(&mut self, folder: Id, name: &OsStr, to: Option<Id>) -> io::Result<()> {
        let entries = &mut self.folder(folder)?.entries;
        match to {
            Some(id) => entries.insert(name.to_owned(), id),
            None => entries.remove(name),
        };
        self.changes.push(Change { folder, name: name.to_owned(), to });
        Ok(())
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<Id> {
        let (folder, name) = self.find_parent(path)?;
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.set(folder, name, Some(id)).map(|()| id)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let ((from_folder, from), (to_folder, to)) = (self.find_parent(from)?, self.find_parent(to)?);
        self.set(to_folder, to, Some(id))?;
        self.set(from_folder, from, None)
    }
}

impl File {
    fn tear(&mut self, tail: Tail) {
        let (length, half) = (self.bytes.len(), self.safe + (self.bytes.len() - self.safe) / 2);
        if self.safe < length {
            let bytes = Arc::make_mut(&mut self.bytes);
            match tail {
                Tail::Lost => bytes.truncate(self.safe),
                Tail::Kept => {}
                Tail::Half => bytes.truncate(half),
                Tail::TornBlock => bytes.truncate(length - (length - self.safe).min(BLOCK).div_ceil(2)),
                Tail::Zeros => bytes[self.safe..].fill(0),
                Tail::HalfThenZeros => bytes[half..].fill(0),
                Tail::ZerosThenHalf => bytes[self.safe..half].fill(0),
            }
        }
        (self.safe, self.lost) = (self.bytes.len(), false);
    }
}

/// Which of `n` independent changes are kept.
fn combinations(n: usize) -> Vec<Vec<bool>> {
    let chosen = |keep: &dyn Fn(usize) -> bool| (0..n).map(keep).collect::<Vec<bool>>();
    if n <= 5 {
        return (0..1_usize << n).map(|bits| chosen(&|at| bits >> at & 1 == 1)).collect();
    }
    let mut all = vec![chosen(&|_| true), chosen(&|_| false)];
    for one in 0..n {
        all.push(chosen(&|at| at == one));
        all.push(chosen(&|at| at != one));
        all.push(chosen(&|at| at < one));
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ n as u64;
    for _ in 0..n {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = random >> 20;
        all.push(chosen(&|at| bits >> (at % 44) & 1 == 1));
    }
    all
}

#[derive(Debug, Default)]
struct Inner {
    image: Image,
    lies: Lies,
    operations: Vec<Operation>,
    /// The image before each operation, where they are wanted.
    images: Option<Vec<Image>>,
    fault: Option<(Aim, Fault)>,
    dead: bool,
    locked: BTreeMap<PathBuf, Vec<Share>>,
    /// Files whose writers live.
    held: BTreeSet<Id>,
    synced_after_failure: bool,
}

impl Inner {
    /// What happens at the operation that was noted last.
    fn fault_here(&self) -> Option<Fault> {
        let (aim, fault) = self.fault.as_ref()?;
        let is_like = |o: &Operation, call, name| o.call == call && o.file_name().starts_with(name);
        let (at, from) = match aim {
            Aim::Number(from) => (self.operations.len() - 1, *from),
            Aim::Named { call, name, number } => {
                self.operations.last().filter(|last| is_like(last, *call, *name))?;
                (self.operations.iter().filter(|o| is_like(o, *call, *name)).count() - 1, *number)
            }
        };
        let lasts = matches!(fault, Fault::ErrorForEver(_));
        (at == from || lasts && at > from).then_some(*fault)
    }
}

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Inner>>);

impl SimulatedDisk {
    pub fn of(image: Image) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(Inner { image, ..Inner::default() })))
    }

    pub fn lying(self, lies: Lies) -> SimulatedDisk {
        self.inner().lies = lies;
        self
    }

    /// Keeps the image before each operation from now on.
    pub fn remembering(self) -> SimulatedDisk {
        self.inner().images = Some(Vec::new());
        self
    }

    /// `fault` happens at operation `at`, from 0.
    pub fn failing(self, at: usize, fault: Fault) -> SimulatedDisk {
        self.inner().fault = Some((Aim::Number(at), fault));
        self
    }

    /// `fault` happens at operation `number`, from 0, among those of the kind `call` on files whose
    /// name begins with `name`.
    pub fn failing_on(self, (call, name, number): (&'static str, &'static str, usize), fault: Fault) -> SimulatedDisk {
        self.inner().fault = Some((Aim::Named { call, name, number }, fault));
        self
    }

    pub fn image(&self) -> Image {
        self.inner().image.clone()
    }

    /// The images before each operation, and the last one.
    pub fn images(&self) -> Vec<Image> {
        let inner = self.inner();
        inner.images.iter().flatten().chain([&inner.image]).cloned().collect()
    }

    pub fn operations(&self) -> Vec<Operation> {
        self.inner().operations.clone()
    }

    /// Whether a file was synced again after its sync had failed.
    pub fn synced_after_failure(&self) -> bool {
        self.inner().synced_after_failure
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, if the process that asks is alive.
    fn alive(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.inner();
        if inner.dead { Err(Errno::IO.into()) } else { Ok(inner) }
    }

    /// Does `operation`, or what a fault makes of it.
    fn step<T>(
        &self,
        call: &'static str,
        path: &Path,
        operation: impl FnOnce(&mut Inner, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut inner = self.alive()?;
        inner.operations.push(Operation { call, path: path.to_owned() });
        let image = inner.image.clone();
        inner.images.iter_mut().for_each(|images| images.push(image.clone()));
        let fault = inner.fault_here();
        match fault {
            None | Some(Fault::Short | Fault::OneByte) => operation(&mut inner, fault),
            Some(Fault::LostReply) => {
                operation(&mut inner, fault)?;
                Err(Errno::IO.into())
            }
            Some(Fault::Kill) => {
                inner.dead = true;
                Err(Errno::IO.into())
            }
            Some(Fault::KillHalfway) => {
                let done = if call == "write" { operation(&mut inner, fault) } else { Err(Errno::IO.into()) };
                inner.dead = true;
                done
            }
            Some(Fault::Error(errno) | Fault::ErrorForEver(errno)) => {
                if call == "sync" {
                    let _ = operation(&mut inner, fault);
                }
                Err(errno.into())
            }
        }
    }
}

impl Storage for SimulatedDisk {
    fn open_root(&self, root: &Path) -> io::Result<()> {
        self.device(root).map(|_| ())
    }

    fn is_in_place(&self, root: &Path) -> io::Result<bool> {
        self.device(root).map(|_| true)
    }

    fn device(&self, folder: &Path) -> io::Result<u64> {
        let image = &mut self.alive()?.image;
        let id = image.find(folder)?;
        image.folder(id).map(|_| 1)
    }

    fn make_folder(&self, folder: &Path, _: u32) -> io::Result<()> {
        if self.alive()?.image.find(folder).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let made = |inner: &mut Inner, _| inner.image.add(folder, Node::Folder(Folder::default())).map(|_| ());
        self.step("make folder", folder, made)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step("sync folder", folder, |inner, _| {
            let id = inner.image.find(folder)?;
            if !inner.lies.no_folder_sync {
                let folder = inner.image.folder(id)?;
                folder.safe = folder.entries.clone();
                inner.image.changes.retain(|change| change.folder != id);
            }
            Ok(())
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let image = &mut self.alive()?.image;
        let id = image.find(folder)?;
        Ok(image.folder(id)?.entries.keys().cloned().collect())
    }

    fn create(&self, file: &Path, _: u32) -> io::Result<Box<dyn StoredFile>> {
        if self.alive()?.image.find(file).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let id = self.step("create", file, |inner, _| inner.image.add(file, Node::File(File::default())))?;
        self.inner().held.insert(id);
        Ok(Box::new(Open { disk: self.clone(), path: file.to_owned(), id, is_held: true }))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn StoredFile>> {
        let id = self.alive()?.image.find(file)?;
        Ok(Box::new(Open { disk: self.clone(), path: file.to_owned(), id, is_held: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive()?.image.find(from)?;
        self.step("rename", to, |inner, _| inner.image.rename(from, to))
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.alive()?.image.find(to).is_ok() {
            return Err(Errno::EXIST.into());
        }
        self.step("rename", to, |inner, _| inner.image.rename(from, to))
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        self.alive()?.image.find(file)?;
        self.step("unlink", file, |inner, _| {
            let (folder, name) = inner.image.find_parent(file)?;
            inner.image.set(folder, name, None)
        })
    }

    fn remove_unheld(&self, file: &Path) -> io::Result<bool> {
        let mut inner = self.alive()?;
        let id = inner.image.find(file)?;
        if inner.held.contains(&id) || inner.image.folder(id).is_ok() {
            return Ok(false);
        }
        drop(inner);
        self.unlink(file).map(|()| true)
    }

    fn lock(&self, file: &Path, _: u32, share: Share) -> io::Result<Box<dyn Lock>> {
        let held = self.alive()?.locked.get(file).cloned().unwrap_or_default();
        if held.iter().any(|other| [*other, share].contains(&Share::Alone)) {
            return Err(Errno::WOULDBLOCK.into());
        }
        let found = self.alive()?.image.find(file);
        self.step("lock", file, |inner, _| match found {
            Ok(id) => Ok(id),
            Err(_) => inner.image.add(file, Node::File(File::default())),
        })?;
        self.inner().locked.entry(file.to_owned()).or_default().push(share);
        Ok(Box::new(Held { disk: self.clone(), path: file.to_owned() }))
    }

    fn room(&self, _: &Path) -> io::Result<Room> {
        Ok(Room { mount: "/simulated".into(), free_bytes: 4096, free_files: u64::MAX })
    }
}

#[derive(Debug)]
struct Open {
    disk: SimulatedDisk,
    path: PathBuf,
    id: Id,
    is_held: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_held {
            self.disk.inner().held.remove(&self.id);
        }
    }
}

#[derive(Debug)]
struct Held {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // Who hold a lock at one time hold it in the same way.
        self.disk.inner().locked.get_mut(&self.path).and_then(Vec::pop);
    }
}

impl StoredFile for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.step("write", &self.path, |inner, fault| {
            let halfway = matches!(fault, Some(Fault::KillHalfway | Fault::Short));
            let written = match fault {
                Some(Fault::OneByte) => bytes.len().min(1),
                _ if halfway => bytes.len().div_ceil(2),
                _ => bytes.len(),
            };
            let file = inner.image.file(self.id)?;
            Arc::make_mut(&mut file.bytes).extend(&bytes[..written]);
            Ok(written)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step("sync", &self.path, |inner, fault| {
            let name = self.path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let lies = inner.lies.no_file_sync || inner.lies.no_sync_of.is_some_and(|of| name.starts_with(of));
            let file = inner.image.file(self.id)?;
            let again = file.lost;
            match fault {
                Some(Fault::Error(_) | Fault::ErrorForEver(_)) => file.lost = true,
                _ if lies || file.lost => {}
                _ => file.safe = file.bytes.len(),
            }
            inner.synced_after_failure |= again;
            Ok(())
        })
    }

    fn check_close(&self) -> io::Result<()> {
        self.disk.step("close", &self.path, |_, _| Ok(()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.alive()?;
        let bytes = &inner.image.file(self.id)?.bytes;
        let from = bytes.len().min(usize::try_from(offset).map_err(|_| Errno::INVAL)?);
        let read = buffer.len().min(bytes.len() - from);
        buffer[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.image.file(self.id)?.bytes.len() as u64)
    }
}
