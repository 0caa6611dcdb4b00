//! Real file systems that are full, closed, or gone: exit code 6 and one line, and with what was missing
//! the same command completes the same bytes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::oracle::{Job, private, remove};

/// What runs a command with mounts of its own; `None`, and said so, where nothing does.
fn own_mounts() -> Option<&'static str> {
    let can = |how: &&str| {
        let mount = Command::new("unshare").args([how, "mount", "-t", "tmpfs", "none", "/mnt"]).output();
        mount.is_ok_and(|output| output.status.success())
    };
    let how = ["-m", "-Urm"].into_iter().find(can);
    if how.is_none() {
        eprintln!("skipped: nothing can be mounted here");
    }
    how
}

/// Mounts a small disk on $1 with the options $2; runs the command, then with the options $3 again, and
/// leaves in $4 how both ended and what then was there.
const ON_A_SMALL_DISK: &str = r#"
disk=$1 small=$2 large=$3 to=$4; shift 4
mount -t tmpfs -o "$small" none "$disk" || exit 99
"$@" 2> "$to/stderr"; echo $? > "$to/first"
ls "$disk/out/.tmp" > "$to/left"
mount -o "remount,$large" "$disk" || exit 99
"$@" 2>> "$to/stderr-again"; echo $? > "$to/again"
cp -a "$disk/out" "$disk/out.private" "$to"
"#;

/// Converts on a disk that is too small, then on one that is not.
fn on_a_small_disk(job: &Job, unshare: &str, small: &str, says: &str) {
    let (disk, to) = (job.out("disk"), job.out("was-there"));
    for folder in [&disk, &to] {
        fs::create_dir(folder).expect("can be made");
    }
    let mut command = Command::new("unshare");
    command.args([unshare, "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(&disk).args([small, "size=1g,nr_inodes=0"]).arg(&to);
    command.arg(env!("CARGO_BIN_EXE_dcmshard")).args(job.arguments(&disk.join("out"), 1));
    let output = command.stdout(Stdio::null()).output().expect("starts");
    assert!(output.status.success(), "{small}: {}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(to.join(name)).expect("was written");
    let stderr = read("stderr");
    assert_eq!(read("first").trim(), "6", "{small}: {stderr}");
    assert_eq!(read("left"), "", "{small}: left in .tmp");
    let line = stderr.lines().last().unwrap_or_default();
    let mount = format!("; {} has ", disk.display());
    assert!(line.contains(&mount) && line.ends_with(says), "{small}: {stderr}");
    assert_eq!(read("again").trim(), "0", "{small}: {}", read("stderr-again"));
    job.check_complete(&to.join("out")).expect(small);
    for folder in [disk, to] {
        fs::remove_dir_all(folder).expect("can be removed");
    }
}

/// D02
#[test]
fn a_disk_that_is_full_and_then_enlarged_ends_with_the_same_bytes() {
    let Some(unshare) = own_mounts() else { return };
    let job = Job::new(36, 64, 3, &["--set", "crop_pad.size=256", "--set", "output.compression=none"]);
    let shard = job.out("undisturbed/data/g000001/part-00000000.parquet").metadata().expect("stands").len();
    for tenths in [15, 25, 101] {
        let size = format!("size={}", shard * tenths / 10);
        on_a_small_disk(&job, unshare, &size, " more are needed");
    }
}

/// D11
#[test]
fn a_disk_without_room_for_another_file_is_told_apart_from_a_full_one() {
    let Some(unshare) = own_mounts() else { return };
    let job = Job::new(36, 64, 3, &["--set", "crop_pad.size=64"]);
    // With the folders of OUT and OUT.private: before the plan, in it, and after some shards.
    for files in [8, 15, 24, 33] {
        on_a_small_disk(&job, unshare, &format!("nr_inodes={files}"), " bytes free, but no inode for another file");
    }
}

/// The program without the power to write where it may not; `None`, and said so, where that cannot be had.
fn without_power(job: &Job, out: &Path) -> Option<Output> {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]);
    if !rustix::process::geteuid().is_root() {
        command = Command::new("env");
    }
    command.arg(env!("CARGO_BIN_EXE_dcmshard")).args(job.arguments(out, 1)).stdin(Stdio::null());
    let output = command.output().ok();
    if output.is_none() {
        eprintln!("skipped: setpriv is not here, and root may write anywhere");
    }
    output
}

/// Takes the right to write away from a folder and all below it, or gives it back.
fn set_writable(folder: &Path, may: bool) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        let mode = entry.metadata().expect("has some").permissions().mode();
        let mode = if may { mode | 0o200 } else { mode & !0o222 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).expect("can be set");
    }
}

/// D10
#[test]
fn an_output_folder_that_may_not_be_written_is_refused_before_anything_is_read() {
    let job = Job::new(6, 32, 2, &["--set", "crop_pad.size=16"]);
    let closed = job.out("closed");
    fs::create_dir(&closed).expect("can be made");
    set_writable(&closed, false);
    let Some(output) = without_power(&job, &closed.join("out")) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("Permission denied") && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(fs::read_dir(&closed).expect("stands").count(), 0);
    set_writable(&closed, true);

    // A data set that lacks a shard, and may no longer be written.
    let out = job.out("undisturbed");
    fs::remove_file(out.join("data/g000001/part-00000001.parquet")).expect("can be removed");
    set_writable(&out, false);
    let output = without_power(&job, &out).expect("as before");
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty(), "no summary");
    set_writable(&out, true);
    job.check_completes(&out).expect("writable again");
}

/// Starts a run and, when it has published something and much is left to do, stops it for `meanwhile`.
/// Gives its exit code and what it said.
fn disturbed(job: &Job, out: &Path, meanwhile: impl FnOnce()) -> (Option<i32>, String) {
    let published = || fs::read_dir(out.join("data/g000001")).map(Iterator::count).unwrap_or(0);
    for _ in 0..20 {
        let mut child = job.command(out, 2).spawn().expect("the program starts");
        while published() == 0 && child.try_wait().expect("can be waited for").is_none() {
            std::thread::yield_now();
        }
        let pid = Pid::from_child(&child);
        if child.try_wait().expect("can be waited for").is_none() {
            kill_process(pid, Signal::STOP).expect("it runs");
            if published() + 10 < job.shards() {
                meanwhile();
                kill_process(pid, Signal::CONT).expect("it is stopped");
                let output = child.wait_with_output().expect("it ends");
                return (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
            }
            child.kill().expect("it is stopped");
        }
        child.wait().expect("it ends");
        remove(out);
    }
    panic!("on this machine, runs end before anybody sees them");
}

/// D13
#[test]
fn an_output_folder_that_is_moved_replaced_or_deleted_ends_the_run_and_nothing_is_written_elsewhere() {
    let job = Job::new(300, 32, 2, &["--set", "crop_pad.size=16"]);
    let (out, away, foreign) = (job.out("out"), job.out("away"), job.out("foreign"));
    fs::create_dir(&foreign).expect("can be made");
    let move_back = || {
        fs::rename(&away, &out).expect("can be moved back");
        job.check_completes(&out).expect("back where it was");
        remove(&out);
    };

    let (code, stderr) = disturbed(&job, &out, || fs::rename(&out, &away).expect("can be moved"));
    assert_eq!(code, Some(6), "moved away: {stderr}");
    assert!(!out.exists(), "made again by a run that had lost it");
    move_back();

    let replace = || {
        fs::rename(&out, &away).expect("can be moved");
        symlink(&foreign, &out).expect("can be linked");
    };
    let (code, stderr) = disturbed(&job, &out, replace);
    assert!(code == Some(6) && stderr.contains("another folder has taken its place"), "replaced: {code:?} {stderr}");
    assert_eq!(fs::read_dir(&foreign).expect("stands").count(), 0, "written elsewhere");
    fs::remove_file(&out).expect("can be removed");
    move_back();

    let (code, stderr) = disturbed(&job, &out, || fs::remove_dir_all(&out).expect("can be removed"));
    assert_eq!(code, Some(6), "deleted: {stderr}");
    assert!(!out.exists() && private(&out).exists());
    job.check_completes(&out).expect("made anew");
}
