//! What a command finds when it starts.

use std::fs;
use std::io;

use super::*;
use crate::process::entered;
use crate::runner::attempt::tests::Trial;

fn failure(trial: Trial) -> String {
    trial.end().failure()
}

#[test]
fn the_environment_is_the_daemons_less_what_is_private_plus_its_own() {
    let script = "echo $RUNABOUT_RUN_ID $RUNABOUT_ATTEMPT $RUNABOUT_INSTANCE $PYTHONUNBUFFERED $K; env";
    let ended = Trial::script(script).env("K", "V").env("RUNABOUT_RUN_ID", "9").end();
    assert_eq!(ended.stdout.lines().next(), Some("7 3 testtesttest 1 V"));
    assert!(ended.stdout.contains("\nPATH="));
    for key in ["RUNABOUT_TOKEN", "RUNABOUT_", "LISTEN_FDS", "WATCHDOG_USEC", "NOTIFY_SOCKET", "STATE_DIRECTORY"] {
        assert!(is_private(OsStr::new(key)), "{key}");
    }
    for key in ["PATH", "HOME", "LISTEN", "RUNABOUT", "STATE_DIRECTORY_2", "MY_NOTIFY_SOCKET"] {
        assert!(!is_private(OsStr::new(key)), "{key}");
    }
}

#[test]
fn nothing_but_the_standard_streams_is_open() {
    let left_open = rustix::io::dup(io::stderr()).expect("a descriptor that exec would keep");
    crate::system::close_inherited_on_exec();
    let ended = Trial::argv(&["ls", "/proc/self/fd"]).end();
    assert_eq!(ended.stdout, "0\n1\n2\n3\n", "3 is the directory that ls reads");
    drop(left_open);
}

#[test]
fn signals_are_at_their_defaults_and_none_is_blocked() {
    crate::system::default_signals_for_children();
    let ended = Trial::argv(&["sed", "-n", "s/^Sig[BI][lg][kn]:\\s*//p", "/proc/self/status"]).end();
    let masks: Vec<u64> = ended.stdout.lines().map(|line| u64::from_str_radix(line, 16).expect("a mask")).collect();
    // 32 and 33 are the C library's own; glibc's posix_spawn leaves them ignored.
    assert!(masks.len() == 2 && masks.iter().all(|mask| mask & !0x1_8000_0000 == 0), "{masks:x?}");
}

#[test]
fn the_directory_is_the_one_asked_for_or_home_or_the_root() {
    assert_eq!(Trial::script("pwd").cwd("/usr").end().stdout, "/usr\n");
    let environment = Environment::new("testtesttest");
    let claimed = Trial::script("").claimed;
    let homeless = Environment { home: Some(PathBuf::from("/nonexistent")), ..Environment::new("testtesttest") };
    assert_eq!(entered(&homeless.directory(&claimed)), Ok(PathBuf::from("/")));
    let home = environment.home.clone().filter(|home| home.is_dir()).unwrap_or(PathBuf::from("/"));
    assert_eq!(entered(&environment.directory(&claimed)), Ok(home));
}

#[test]
fn what_could_not_start_says_why() {
    assert_eq!(failure(Trial::argv(&["no-such-program"])), "not found: no-such-program");
    assert_eq!(failure(Trial::argv(&["/no/such/program"])), "not found: /no/such/program");
    assert_eq!(failure(Trial::argv(&[""])), "not found: the empty name");
    assert_eq!(failure(Trial::argv(&["/etc/passwd"])), "not executable: /etc/passwd (permission denied)");
    assert_eq!(failure(Trial::argv(&["/usr"])), "not executable: /usr (permission denied)");
    assert_eq!(
        failure(Trial::argv(&["passwd"]).env("PATH", "/nowhere:/etc")),
        "not executable: passwd (permission denied)"
    );
    assert_eq!(
        failure(Trial::argv(&["true"]).cwd("/no/such/place")),
        "working directory /no/such/place: no such file or directory"
    );
    assert_eq!(failure(Trial::argv(&["true"]).cwd("/etc/passwd")), "working directory /etc/passwd: not a directory");
    let long = "x".repeat(200_000);
    assert_eq!(failure(Trial::argv(&["true", &long])), "arguments and environment are too long for true");
}

#[test]
fn the_program_is_the_one_that_the_commands_own_path_finds() {
    let place = std::env::temp_dir().join(format!("runabout-path-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a directory");
    for (name, text) in
        [("greet", "#!/bin/sh\necho found $0\n"), ("lost", "#!/no/such/interpreter\n"), ("odd", "\x01\n")]
    {
        fs::write(place.join(name), text).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(place.join(name), mode).expect("ours");
    }
    let path = place.to_str().expect("utf-8");
    let found = Trial::argv(&["greet"]).env("PATH", &format!("/nowhere:{path}")).end();
    assert_eq!(found.stdout, format!("found {path}/greet\n"));
    let here = Trial::argv(&["greet"]).env("PATH", "").cwd(path).end();
    assert_eq!(here.stdout, format!("found {path}/greet\n"));
    assert_eq!(failure(Trial::argv(&["./lost"]).cwd(path)), "not executable: ./lost (its interpreter is missing)");
    assert_eq!(failure(Trial::argv(&["odd"]).env("PATH", path)), "not executable: odd (exec format error)");
    fs::remove_dir_all(&place).expect("ours");
}
