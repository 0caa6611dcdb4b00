//! The clock, the time zone, the language, umask, folder, user and host are no part of any output byte.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::cli::dcmshard;
use crate::job::{self, Job, tree};

fn ended_well(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// T01: with the clock ten years ahead, five days behind, before 1970, or jumping to and fro, the bytes
/// are the same.
#[test]
fn the_clock_is_no_part_of_any_byte() {
    let job = Job::new();
    let Some(library) = job.preloaded() else {
        eprintln!("skipped: a wrong clock needs a C compiler");
        return;
    };
    let year = 365 * 86_400_i64;
    for (name, offset, jump) in [
        ("ten-years-ahead", 10 * year, 0),
        ("five-days-behind", -5 * 86_400, 0),
        ("before-1970", -100 * year, 0),
        ("jumping", 0, 30 * year),
    ] {
        let with_clock = |command: &mut Command| {
            command.env("LD_PRELOAD", &library).env("CLOCK_OFFSET", offset.to_string());
            command.env("CLOCK_JUMP", jump.to_string()).output().expect("it starts")
        };
        // The clock is what it shall be: `date` says so.
        let date = with_clock(Command::new("date").arg("+%s"));
        let says: i64 = String::from_utf8_lossy(&date.stdout).trim().parse().expect("seconds");
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs().cast_signed();
        assert!((says - now - offset).abs() % year.max(jump) < 3600, "{name}: {says}, now it is {now}");
        let out = job.out(name);
        ended_well(&with_clock(&mut job.convert(&out)), name);
        // And a run that continues.
        fs::remove_file(out.join("data/g000001/part-00000003.parquet")).expect("stands");
        ended_well(&with_clock(&mut job.convert(&out)), name);
        job.check(&out, name);
    }
}

/// T02: time zone, language, umask, the folder it is started in.
#[test]
fn time_zone_language_umask_and_folder_are_no_part_of_any_byte() {
    let job = Job::new();
    let elsewhere = job.out("environment");
    let mut convert = job.convert(&elsewhere);
    convert.env("TZ", "Asia/Kathmandu").env("LANG", "tr_TR.UTF-8").env("LC_ALL", "de_DE@euro").env("HOME", "/nowhere");
    ended_well(&convert.env("USER", "somebody").output().expect("the program starts"), "environment");
    job.check(&elsewhere, "environment");

    let bare = job.out("bare");
    ended_well(&job.convert(&bare).env_clear().output().expect("the program starts"), "no environment");
    job.check(&bare, "no environment");

    for umask in ["000", "077"] {
        let out = job.out(format!("umask-{umask}"));
        let convert = job.convert(&out);
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(convert.get_program()).args(convert.get_args());
        ended_well(&shell.output().expect("sh starts"), umask);
        job.check(&out, umask);
        // Modes may follow the umask, but the private folder is nobody else's.
        let mode = |path: &Path| fs::metadata(path).expect("stands").permissions().mode() & 0o777;
        assert_eq!(mode(&job::private(&out)) & 0o077, 0, "umask {umask}");
        assert_eq!(mode(&out) & 0o007, 0, "umask {umask}");
    }

    // Relative paths, from another folder: the label of the source is the same.
    let out = job.out("relative");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
    convert.args(["convert", "../scans", "--out", "../relative/out", "--key", "../key", "--progress", "none"]);
    convert.args(["--set", "output.rows_per_shard=2", "--set", "crop_pad.size=16"]);
    ended_well(&convert.current_dir(job.path("undisturbed")).output().expect("the program starts"), "relative");
    job.check(&out, "relative");
}

/// T02: another user, and a host of another name. As root only.
#[test]
fn user_and_host_are_no_part_of_any_byte() {
    const NOBODY: u32 = 65_534;
    let job = Job::new();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: to be another user takes root");
        return;
    }
    // What the other user needs: the program, the sources, a key and a folder of its own.
    let home = job.path("nobody");
    fs::create_dir(&home).expect("can be made");
    let (program, key, out) = (home.join("dcmshard"), home.join("key"), home.join("out"));
    fs::copy(env!("CARGO_BIN_EXE_dcmshard"), &program).expect("can be copied");
    fs::copy(&job.key, &key).expect("can be copied");
    for path in [&home, &key] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    fs::set_permissions(job.path(""), Permissions::from_mode(0o755)).expect("root may");
    let convert = job.convert(&out);
    let arguments: Vec<_> =
        convert.get_args().map(|word| if word == job.key { key.as_os_str() } else { word }).collect();
    let nobody = NOBODY.to_string();
    let ways = [
        ("setpriv", vec!["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]),
        ("unshare", vec!["-u", "sh", "-c", "hostname another-host && exec \"$0\" \"$@\""]),
    ];
    for (tool, how) in ways {
        let works = Command::new(tool).args(&how).arg("true").stderr(Stdio::null()).status();
        if !works.is_ok_and(|status| status.success()) {
            eprintln!("skipped: {tool} is missing, or may not do it here");
            continue;
        }
        let ended = Command::new(tool).args(&how).arg(&program).args(&arguments).output().expect("it starts");
        ended_well(&ended, tool);
        assert_eq!(&tree(&out), job.expected(), "{tool}");
        let verified = dcmshard(&["verify", &out.display().to_string(), "--read-data"]);
        ended_well(&verified, tool);
        fs::remove_dir_all(&out).expect("can be removed");
        fs::remove_dir_all(job::private(&out)).expect("can be removed");
    }
}
