//! Which process of a command was the largest when the kernel killed it: by the kernel's own words, where they may be read.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::run::Biggest;

/// Bytes of one message of the kernel; a longer one is cut by it.
const MESSAGE_BYTES_MAX: usize = 8_192;
/// Messages that are read: more than a ring of the usual size holds.
const MESSAGES_MAX: usize = 50_000;

/// What the kernel has said that it killed first, of processes whose cgroup has this name. `None` where its messages may
/// not be read, or do not say so.
pub fn killed_in(cgroup: &str) -> Option<Biggest> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let mut messages = fs::OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    messages.seek(SeekFrom::Start(0)).ok()?;
    let (mut message, mut is_ours, mut found) = (vec![0; MESSAGE_BYTES_MAX], false, None);
    for _ in 0..MESSAGES_MAX {
        let Some(length) = next(&mut messages, &mut message) else { break };
        let text = String::from_utf8_lossy(&message[..length]);
        if let Some((_, of)) = text.split_once("task_memcg=") {
            is_ours = of.split(',').next().is_some_and(|path| path.rsplit('/').next() == Some(cgroup));
        } else if is_ours && found.is_none() {
            found = parse_kill(&text);
        }
    }
    found
}

/// The next message; `None` at the end of them.
fn next(messages: &mut File, message: &mut [u8]) -> Option<usize> {
    loop {
        match messages.read(message) {
            Ok(length) => return Some(length),
            // It was overwritten before it was read: the next one follows.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => return None,
        }
    }
}

/// As `…: Killed process 4711 (name) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, …`.
fn parse_kill(message: &str) -> Option<Biggest> {
    let (_, rest) = message.split_once("Killed process ")?;
    let (pid, rest) = rest.split_once(" (")?;
    let (name, sizes) = rest.rsplit_once(") total-vm")?;
    let kib = |key: &str| -> Option<i64> {
        let (_, rest) = sizes.split_once(key)?;
        rest.split("kB").next()?.parse().ok()
    };
    let rss_kib = kib("anon-rss:")? + kib("file-rss:").unwrap_or(0) + kib("shmem-rss:").unwrap_or(0);
    Some(Biggest { pid: pid.parse().ok()?, name: name.to_owned(), rss_bytes: rss_kib * 1_024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        let message = "3,1234,5678,-;Memory cgroup out of memory: Killed process 4711 (a (b) c) total-vm:70000kB, \
                       anon-rss:65000kB, file-rss:100kB, shmem-rss:4kB, UID:0 pgtables:160kB oom_score_adj:500";
        let killed = parse_kill(message).expect("a kill");
        assert_eq!((killed.pid, killed.name.as_str(), killed.rss_bytes), (4711, "a (b) c", 65_104 * 1_024));
        assert_eq!(parse_kill("6,1,2,-;usb 1-1: new device"), None);
    }
}
