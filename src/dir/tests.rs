//! Names in a directory that somebody else may write, on a real file system.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("runabout-dir-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("made");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn refused<T>(done: io::Result<T>, why: &str) {
    let error = done.err().expect("refused").to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn only_a_file_with_one_name_is_used() {
    let scratch = Scratch::new("files");
    let at = |name: &str| scratch.0.join(name);
    let dir = Dir::open(&scratch.0).expect("opened");
    std::fs::write(at("file"), "text").expect("written");
    symlink(at("file"), at("link")).expect("linked");
    symlink(at("nowhere"), at("dangling")).expect("linked");
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("made");
    std::fs::create_dir(at("dir")).expect("made");
    assert_eq!(dir.bytes("file", 3).ok().as_deref(), Some(&b"tex"[..]));
    for (name, why) in
        [("link", "a symbolic link"), ("dangling", "a symbolic link"), ("pipe", "a pipe"), ("dir", "a directory")]
    {
        // None of these waits, for all that nobody has the pipe's other end.
        refused(dir.read(name), why);
        refused(dir.write(name), why);
        refused(dir.check(name), why);
        assert!(dir.create(name).is_err(), "the name is taken");
    }
    assert!(!at("nowhere").exists(), "nothing is made behind a link");
    std::fs::hard_link(at("file"), at("second")).expect("linked");
    refused(dir.read("file"), "2 names");
    dir.remove("second").and_then(|()| dir.remove("second")).expect("nobody has the name");
    dir.write("file").and_then(|_| dir.write("fresh")).expect("opened and made");
    assert_eq!(std::fs::metadata(at("fresh")).map(|file| file.permissions().mode() & 0o7777).ok(), Some(0o600));
    dir.remove("link").expect("removed");
    assert!(at("file").exists(), "the link goes, not what it leads to");
}

#[test]
fn a_files_owner_is_the_directorys_or_root_or_the_caller() {
    if !geteuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let scratch = Scratch::new("owners");
    let give = |name: &str, uid: u32| std::os::unix::fs::chown(scratch.0.join(name), Some(uid), Some(uid));
    std::fs::write(scratch.0.join("file"), "").and_then(|()| give("file", 4_001)).expect("given");
    let dir = || Dir::open(&scratch.0).expect("opened");
    refused(dir().read("file"), "it belongs to uid 4001");
    give(".", 4_001).expect("given");
    dir().read("file").expect("of the directory's owner");
    refused(dir().must_be_ours(), "it belongs to uid 4001");
    give("file", 4_002).expect("given");
    refused(dir().read("file"), "it belongs to uid 4002");
    let made = dir().create("made").expect("made");
    let stat = fstat(&made).expect("looked at");
    assert_eq!((stat.st_uid, stat.st_gid), (4_001, 4_001), "it is the directory's owner's");
}

#[test]
fn the_way_goes_by_links_of_root_the_caller_and_the_directorys_owner() {
    let scratch = Scratch::new("way");
    let at = |name: &str| scratch.0.join(name);
    let dir = Dir::open_or_make(&at("a/b/c")).expect("made");
    assert_eq!(dir.mode().ok(), Some(0o700));
    symlink("a/../a/b", at("link")).expect("linked");
    let by_link = Dir::open(&at("link/c")).expect("opened");
    assert!(by_link.is_same(&dir) && by_link.real_path() == dir.real_path() && by_link.path() != dir.path());
    let made = Dir::open_or_make(&at("link/new")).expect("what is missing after a link is made");
    assert!(made.real_path().ends_with("a/b/new"));
    symlink("not/there", at("unmounted")).expect("linked");
    let error = Dir::open_or_make(&at("unmounted")).expect_err("what a link leads to is not made");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    symlink("loop", at("loop")).expect("linked");
    assert!(Dir::open(&at("loop")).is_err() && Dir::open(&at("a/b/c/../../../a/b")).is_ok());
    std::fs::write(at("file"), "").expect("written");
    assert_eq!(Dir::open(&at("file")).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::NotADirectory));
    if geteuid().is_root() {
        std::os::unix::fs::lchown(at("link"), Some(4_001), Some(4_001)).expect("given");
        refused(Dir::open(&at("link/c")), "belongs to uid 4001");
        std::os::unix::fs::chown(at("a/b/c"), Some(4_001), None).expect("given");
        Dir::open(&at("link/c")).expect("it leads to what is its owner's");
    }
}

#[test]
fn names_change_by_the_descriptor_also_where_the_directory_has_moved() {
    let scratch = Scratch::new("moved");
    let at = |name: &str| scratch.0.join(name);
    let dir = Dir::open_or_make(&at("dir")).expect("made");
    dir.create("one").and_then(|_| dir.create("two")).expect("made");
    std::fs::rename(at("dir"), at("moved")).and_then(|()| symlink("/", at("dir"))).expect("moved");
    let private = dir.make_private("private").expect("made");
    private.create("three").expect("made");
    assert!(dir.rename("one", &dir, "two", NameTaken::Keep).is_err(), "somebody has the name");
    dir.rename("one", &dir, "two", NameTaken::Replace).expect("replaced");
    private.rename("three", &dir, "three", NameTaken::Keep).expect("moved");
    dir.remove_dir("private").and_then(|()| dir.sync()).expect("removed");
    let mut names: Vec<_> =
        std::fs::read_dir(at("moved")).expect("read").map(|entry| entry.expect("one").file_name()).collect();
    names.sort();
    assert_eq!(names, ["three", "two"]);
}
