//! Two runs on one OUT: the second is refused; where the lock does not work, neither harms the other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dcmshard::convert::{Conversion, Summary};
use dcmshard::error::{Error, ExitCode};
use dcmshard::options::Options;
use dcmshard::recipe::Recipe;
use dcmshard::runner::Cancel;
use dcmshard::sink::disk::Disk;
use dcmshard::sink::publish::OutputFolder;
use dcmshard::sink::storage::{Lock, Room, Share, Storage, StoredFile};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::cli::dcmshard;
use crate::job::{self, Job, Running, SHARDS, published};
use crate::line::Tested;
use crate::power_loss::{self, OUT, every};
use crate::simulated_disk::{Image, SimulatedDisk};

/// What a test does to one of the runs.
trait Meddle: std::fmt::Debug + Send + Sync {
    /// Before each operation that writes; an error is what the run gets instead of it.
    fn before(&self, call: &'static str, path: &Path) -> io::Result<()>;
}

/// A disk on which every lock is given to everybody.
#[derive(Debug)]
struct Unlocked<S, M> {
    below: S,
    /// Temporary files are held by their writers all the same.
    holds_temps: bool,
    meddle: M,
}

#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

impl<S: Storage, M: Meddle> Storage for Unlocked<S, M> {
    fn open_root(&self, root: &Path) -> io::Result<()> {
        self.below.open_root(root)
    }

    fn is_in_place(&self, root: &Path) -> io::Result<bool> {
        self.below.is_in_place(root)
    }

    fn device(&self, folder: &Path) -> io::Result<u64> {
        self.below.device(folder)
    }

    fn make_folder(&self, folder: &Path, mode: u32) -> io::Result<()> {
        self.meddle.before("make folder", folder)?;
        self.below.make_folder(folder, mode)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.meddle.before("sync folder", folder)?;
        self.below.sync_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.meddle.before("list", folder)?;
        self.below.list(folder)
    }

    fn create(&self, file: &Path, mode: u32) -> io::Result<Box<dyn StoredFile>> {
        self.meddle.before("create", file)?;
        self.below.create(file, mode)
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.meddle.before("open", file)?;
        self.below.open(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meddle.before("rename", to)?;
        self.below.rename(from, to)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meddle.before("rename", to)?;
        self.below.rename_no_replace(from, to)
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        self.meddle.before("unlink", file)?;
        self.below.unlink(file)
    }

    fn remove_unheld(&self, file: &Path) -> io::Result<bool> {
        self.meddle.before("remove", file)?;
        if self.holds_temps { self.below.remove_unheld(file) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    fn lock(&self, _: &Path, _: u32, _: Share) -> io::Result<Box<dyn Lock>> {
        if self.holds_temps { Ok(Box::new(NoLock)) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    fn room(&self, folder: &Path) -> io::Result<Room> {
        self.below.room(folder)
    }
}

/// Leaves the runs to the machine.
#[derive(Debug)]
struct Freely;

impl Meddle for Freely {
    fn before(&self, _: &'static str, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Two runs take turns, a few operations each, as a seed says. One of them may be killed.
#[derive(Debug)]
struct Turns {
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Debug)]
struct State {
    random: u64,
    whose: usize,
    left: u64,
    ended: [bool; 2],
    operations: [u64; 2],
    /// Run 0 is gone from its n-th operation on.
    killed_at: Option<u64>,
}

impl Turns {
    fn new(seed: u64, killed_at: Option<u64>) -> Arc<Turns> {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let state = State { random, whose: 0, left: 0, ended: [false; 2], operations: [0; 2], killed_at };
        Arc::new(Turns { state: Mutex::new(state), turned: Condvar::new() })
    }

    fn of(self: &Arc<Turns>, who: usize) -> Turn {
        Turn { turns: self.clone(), who }
    }
}

impl State {
    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }
}

#[derive(Debug)]
struct Turn {
    turns: Arc<Turns>,
    who: usize,
}

impl Meddle for Turn {
    fn before(&self, _: &'static str, _: &Path) -> io::Result<()> {
        let state = self.turns.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| state.whose != self.who && !state.ended[1 - self.who];
        let mut state = self.turns.turned.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        if state.left == 0 {
            // Long turns and short ones: whole phases of one run between two operations of the other.
            let reach = [2, 8, 60][state.next(3) as usize];
            (state.whose, state.left) = (state.next(2) as usize, 1 + state.next(reach));
            self.turns.turned.notify_all();
        }
        state.left -= 1;
        state.operations[self.who] += 1;
        let is_gone = self.who == 0 && state.killed_at.is_some_and(|at| state.operations[0] > at);
        if is_gone { Err(Errno::IO.into()) } else { Ok(()) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended[self.who] = true;
        self.turns.turned.notify_all();
    }
}

/// Both runs at once, on one disk, from `image` on, in turns; each ends as it may.
fn twins(
    job: &power_loss::Job,
    (disk, holds_temps): (&SimulatedDisk, bool),
    turns: &Arc<Turns>,
) -> [Result<Summary, Error>; 2] {
    let run = |who| {
        let storage = Unlocked { below: disk.clone(), holds_temps, meddle: turns.of(who) };
        job.convert_on(Arc::new(storage))
    };
    std::thread::scope(|scope| {
        let runs = [0, 1].map(|who| scope.spawn(move || run(who)));
        runs.map(|run| run.join().expect("no panic"))
    })
}

/// All files but those that nobody reads; OUT.private too.
fn readable(image: &Image) -> BTreeMap<PathBuf, Arc<Vec<u8>>> {
    let mut files = image.files();
    files.retain(|path, _| !path.ends_with(".lock") && !path.components().any(|part| part.as_os_str() == ".tmp"));
    files
}

/// The files of OUT of an undisturbed run with the key that is on this disk.
fn undisturbed(job: &power_loss::Job, image: &Image) -> Result<BTreeMap<PathBuf, Arc<Vec<u8>>>, Error> {
    let key = Path::new("/simulated/out.private/key");
    let disk = SimulatedDisk::default();
    let put = || {
        disk.make_folder(Path::new("/simulated"), 0o750)?;
        disk.make_folder(Path::new("/simulated/out.private"), 0o700)?;
        disk.create(key, 0o600)?.write_all(image.files().get(key).ok_or(io::ErrorKind::NotFound)?)
    };
    put().expect("a key was made");
    job.convert(&disk)?;
    Ok(readable(&disk.image()))
}

/// C01: with the lock disabled, two first runs end identically and without an error, whatever turns they
/// take: OUT, key, dataset.json, plan, ledger, shards, manifest.
#[test]
fn two_unlocked_runs_at_once_both_end_well_with_the_same_bytes() -> Tested {
    let job = power_loss::Job::new().without_key();
    let schedules = every(100, 1000);
    for seed in 0..schedules as u64 {
        for holds_temps in [true, false] {
            let disk = SimulatedDisk::default();
            for (who, ended) in twins(&job, (&disk, holds_temps), &Turns::new(seed, None)).into_iter().enumerate() {
                let code = ended.map_err(|error| format!("seed {seed}, run {who}: {error}"))?.exit_code();
                assert_eq!(code, ExitCode::Done, "seed {seed}, run {who}");
            }
            let image = disk.image();
            assert_eq!(readable(&image), undisturbed(&job, &image)?, "seed {seed}");
            let left: Vec<_> =
                image.files().into_keys().filter(|path| path.to_string_lossy().contains("/.tmp/")).collect();
            assert!(left.is_empty(), "seed {seed}: {left:?}");
        }
    }
    eprintln!("{} pairs of unlocked runs in turns", 2 * schedules);
    Ok(())
}

/// C01, K: one of the two is killed at any operation; the other ends well all the same.
#[test]
fn an_unlocked_run_ends_well_when_its_twin_is_killed() -> Tested {
    let job = power_loss::Job::new().without_key();
    let mut killed = 0;
    for at in (0..400).step_by(every(4, 1)) {
        for seed in 0..every(1, 4) as u64 {
            let disk = SimulatedDisk::default();
            let turns = Turns::new(seed + 5 * at, Some(at));
            let [gone, ended] = twins(&job, (&disk, at % 8 < 4), &turns);
            killed += usize::from(gone.is_err());
            let what = format!("killed at {at}, seed {seed}");
            assert_eq!(ended.map_err(|error| format!("{what}: {error}"))?.exit_code(), ExitCode::Done, "{what}");
            let image = disk.image();
            assert_eq!(readable(&image), undisturbed(&job, &image)?, "{what}");
        }
    }
    eprintln!("{killed} unlocked runs killed beside a living one");
    assert!(killed > 10);
    Ok(())
}

/// C01 on the real file system, with the machine's own timing.
#[test]
fn two_unlocked_runs_on_the_real_disk_end_with_the_same_bytes() -> Tested {
    let job = Job::new();
    let settings = ["output.rows_per_shard=2", "crop_pad.size=16"].map(str::to_owned);
    let recipe = Recipe::from_toml("", &settings)?;
    let options = Options { key_file: Some(job.key.clone()), ..crate::line::options(1, 4, 64) };
    for n in 0..20 {
        let out = job.out(format!("unlocked-{n}"));
        let run = || -> Result<Summary, Error> {
            let storage = Arc::new(Unlocked { below: Disk::default(), holds_temps: n % 2 == 0, meddle: Freely });
            Conversion::open_on(storage, &[&job.source], &out, &recipe, &options)?.run(&Cancel::default())
        };
        let ended =
            std::thread::scope(|scope| [(); 2].map(|()| scope.spawn(run)).map(|run| run.join().expect("no panic")));
        for ended in ended {
            assert_eq!(ended?.exit_code(), ExitCode::Done);
        }
        job.check(&out, "two at once");
    }
    Ok(())
}

/// C01: the second of two runs exits 5 in under 2 s, in whatever state the first one is; a hundred times.
#[test]
fn a_second_run_is_refused_at_once_and_the_first_ends_undisturbed() {
    let job = Job::new();
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for n in 0..20 {
        let out = job.out(format!("first-{n}"));
        let mut first = Running::start(&mut job.convert(&out));
        for state in 0..5 {
            // From the first entry below OUT/plan on it holds the lock.
            let wanted = [0, 1, 3, 6, 8][state];
            if !first.reaches(|| out.join("plan").exists() && published(&out) >= wanted) || !first.stop() {
                break;
            }
            let since = Instant::now();
            let second = job.convert(&out).output().expect("the program starts");
            slowest = slowest.max(since.elapsed());
            let stderr = String::from_utf8_lossy(&second.stderr);
            assert_eq!(second.status.code(), Some(5), "{stderr}");
            assert!(stderr.contains("is in use by another run") && stderr.lines().count() == 1, "{stderr}");
            refused += 1;
            first.send(Signal::CONT);
        }
        let ended = first.end();
        assert!(ended.status.success(), "{}", ended.stderr);
        job.check(&out, "beside refused runs");
    }
    eprintln!("{refused} runs refused, the slowest after {} ms", slowest.as_millis());
    assert!(refused > 20 && slowest < Duration::from_secs(2), "{refused}, {slowest:?}");
}

/// C01: two first runs started at the same moment: one is refused, or they came one after the other.
#[test]
fn of_two_runs_started_together_one_ends_well_and_the_other_is_refused() {
    let job = Job::new();
    let mut refused = 0;
    for n in 0..20 {
        let out = job.out(format!("together-{n}"));
        let runs = [(); 2].map(|()| Running::start(&mut job.convert(&out)));
        let codes = runs.map(|run| run.end()).map(|ended| (ended.status.code(), ended.stderr));
        for (code, stderr) in &codes {
            assert!(matches!(code, Some(0 | 5)), "{code:?}: {stderr}");
        }
        assert!(codes.iter().any(|(code, _)| *code == Some(0)), "both were refused");
        refused += codes.iter().filter(|(code, _)| *code == Some(5)).count();
        job.check(&out, "together");
    }
    eprintln!("{refused} of 20 pairs had one refused");
}

/// C02: the lock goes with its holder.
#[test]
fn after_the_holder_of_the_lock_is_killed_the_next_run_starts_at_once() {
    let job = Job::new();
    for wanted in [0, 1, 5] {
        let out = job.out(format!("killed-{wanted}"));
        let mut holder = Running::start(&mut job.convert(&out));
        assert!(holder.reaches(|| out.join("plan").exists() && published(&out) >= wanted));
        holder.send(Signal::KILL);
        drop(holder.end());
        let next = job.convert(&out).output().expect("the program starts");
        assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
        job.check(&out, "after a kill");
    }
}

/// C03: what is not ours below OUT is ignored, or refused, and never followed.
#[test]
fn foreign_files_and_links_below_out_are_never_followed() {
    let job = Job::new();
    let out = job.out("foreign");
    let elsewhere = job.path("elsewhere");
    fs::create_dir_all(&elsewhere).expect("can be made");
    fs::write(elsewhere.join("precious"), "mine").expect("can be written");
    let precious = || job::state(&elsewhere).into_iter().map(|(path, _, bytes)| (path, bytes)).collect::<Vec<_>>();
    let before = precious();
    let convert = |code: i32| {
        let ended = job.convert(&out).output().expect("the program starts");
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(precious(), before);
    };
    convert(0);
    // In .tmp: a link, a link to a folder, a folder, a FIFO.
    let tmp = out.join(".tmp");
    symlink(elsewhere.join("precious"), tmp.join("link")).expect("can be made");
    symlink(&elsewhere, tmp.join("folder-link")).expect("can be made");
    convert(0);
    assert_eq!(fs::read_dir(&tmp).expect("stands").count(), 0, "links are removed, not what they lead to");
    // In data: a file that nobody planned, which verify names; a link in the place of a shard.
    fs::write(out.join("data/notes.txt"), "foreign").expect("can be written");
    let shard = out.join("data/g000001/part-00000004.parquet");
    fs::remove_file(&shard).expect("stands");
    symlink(elsewhere.join("precious"), &shard).expect("can be made");
    convert(0);
    assert_eq!(fs::read(out.join("data/notes.txt")).expect("stands"), b"foreign");
    assert!(!shard.is_symlink());
    let verified = dcmshard(&["verify", &out.display().to_string()]);
    assert_eq!(verified.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("data/notes.txt"));
    fs::remove_file(out.join("data/notes.txt")).expect("stands");
    fs::remove_dir_all(&tmp).expect("can be removed"); // the link, set aside
    fs::create_dir(&tmp).expect("can be made");
    job.check(&out, "foreign files");
    // A folder of ours that is a link.
    fs::rename(out.join("data"), job.path("moved")).expect("can be moved");
    symlink(&elsewhere, out.join("data")).expect("can be made");
    convert(6);
    fs::remove_file(out.join("data")).expect("is a link");
    fs::rename(job.path("moved"), out.join("data")).expect("can be moved");
    fs::remove_dir(&tmp).expect("is empty");
    symlink(&elsewhere, &tmp).expect("can be made");
    convert(6);
}

/// Plants another file under a name just before the run would give it to its own.
#[derive(Debug)]
struct Planter {
    disk: SimulatedDisk,
    name: &'static str,
    done: AtomicBool,
}

impl Meddle for Planter {
    fn before(&self, call: &'static str, path: &Path) -> io::Result<()> {
        if call == "rename" && path.ends_with(self.name) && !self.done.swap(true, Ordering::Relaxed) {
            self.disk.create(path, 0o640)?.write_all(b"other bytes")?;
        }
        Ok(())
    }
}

/// C05: a name that is taken by other bytes ends the run with exit code 8, and both files are kept.
#[test]
fn a_name_taken_by_other_bytes_ends_the_run_and_both_are_kept() {
    let job = power_loss::Job::new();
    let disk = SimulatedDisk::default();
    let name = "data/g000001/part-00000001.parquet";
    let meddle = Planter { disk: disk.clone(), name, done: AtomicBool::default() };
    let storage = Unlocked { below: disk.clone(), holds_temps: true, meddle };
    let error = job.convert_on(Arc::new(storage)).expect_err("the name is taken");
    assert_eq!(error.exit_code(), ExitCode::Verify, "{error}");
    assert!(error.to_string().contains("the new bytes are kept as .tmp/bad-data-g000001-part-00000001"), "{error}");
    let files = disk.image().files();
    assert_eq!(files[&Path::new(OUT).join(name)].as_slice(), b"other bytes");
    let kept: Vec<_> = files.iter().filter(|(path, _)| path.starts_with(format!("{OUT}/.tmp"))).collect();
    assert!(kept.len() == 1 && kept[0].1.starts_with(b"PAR1"), "{kept:?}");
}

/// C06: a worker that stood still while another did its work harms nothing when it goes on.
#[test]
fn a_worker_that_is_replaced_and_wakes_up_again_does_no_harm() {
    let job = Job::new();
    for wanted in [0, 2, 7] {
        let out = job.out(format!("zombie-{wanted}"));
        let planned = job.command("plan", &out, &[]).output().expect("the program starts");
        assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stderr));
        let mut zombie = Running::start(&mut job.worker(&out, "0/1"));
        assert!(zombie.reaches(|| published(&out) >= wanted), "it ended too early");
        let stopped = zombie.stop();
        let replacement = job.worker(&out, "0/1").output().expect("the program starts");
        assert!(replacement.status.success(), "{}", String::from_utf8_lossy(&replacement.stderr));
        assert_eq!(published(&out), SHARDS);
        zombie.send(Signal::CONT);
        let zombie = zombie.end();
        assert!(zombie.status.success() || !stopped, "{}", zombie.stderr);
        let finalized = dcmshard(&["finalize", &out.display().to_string()]);
        assert!(finalized.status.success(), "{}", String::from_utf8_lossy(&finalized.stdout));
        job.check(&out, "a zombie");
    }
}

/// A sweep removes what nobody writes any more, and nothing else.
#[test]
fn a_sweep_leaves_what_a_living_writer_holds() -> Tested {
    let temp = tempfile::tempdir()?;
    let (ours, theirs) = (OutputFolder::create(temp.path(), 0o750)?, OutputFolder::create(temp.path(), 0o750)?);
    let left = || fs::read_dir(temp.path().join(".tmp")).expect("stands").count();
    fs::write(temp.path().join(".tmp/data-part.0123456789abcdef"), b"torn")?;
    let mut file = theirs.begin("data/part")?;
    file.write_all(b"half")?;
    ours.sweep()?;
    assert_eq!(left(), 1, "the file that is held");
    file.write_all(b" and half")?;
    file.publish()?;
    assert_eq!(fs::read(temp.path().join("data/part"))?, b"half and half");
    ours.sweep()?;
    assert_eq!(left(), 0);
    Ok(())
}

/// Between its creation and its lock a temp file is nobody's; a sweep that comes just then costs a try.
#[test]
fn sweeps_beside_writers_never_take_a_file_that_is_being_written() -> Tested {
    let temp = tempfile::tempdir()?;
    let folder = OutputFolder::create(temp.path(), 0o750)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| -> Tested {
        for _ in 0..2 {
            scope.spawn(|| {
                let sweeper = OutputFolder::create(temp.path(), 0o750).expect("stands");
                while !done.load(Ordering::Relaxed) {
                    sweeper.sweep().expect("can be swept");
                }
            });
        }
        let written = (0..3000).try_for_each(|n: u32| {
            let mut file = folder.begin("data/part")?;
            file.write_all(&n.to_le_bytes()).map_err(|e| file.write_failed(e))?;
            // Not published: that the temp file is still there says the directory.
            let stands = fs::read_dir(temp.path().join(".tmp")).is_ok_and(|names| names.count() > 0);
            if stands { Ok(()) } else { Err(Error::Bug(format!("file {n} was swept away"))) }
        });
        done.store(true, Ordering::Relaxed);
        Ok(written?)
    })
}

/// Locks held together keep out who wants it alone, and the other way round.
#[test]
fn a_lock_is_held_alone_or_together() -> Tested {
    let temp = tempfile::tempdir()?;
    let simulated = SimulatedDisk::default();
    for (storage, file) in
        [(&Disk::default() as &dyn Storage, temp.path().join(".lock")), (&simulated as &dyn Storage, "/.lock".into())]
    {
        let lock = |share| storage.lock(&file, 0o640, share);
        let is_refused = |share| lock(share).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        let together = (lock(Share::Together)?, lock(Share::Together)?);
        assert!(is_refused(Share::Alone));
        drop(together.0);
        assert!(is_refused(Share::Alone));
        drop(together.1);
        let alone = lock(Share::Alone)?;
        assert!(is_refused(Share::Alone) && is_refused(Share::Together));
        drop(alone);
        assert!(lock(Share::Together).is_ok());
    }
    Ok(())
}
