//! Frames that daemon and keeper sent each other, as files: one a line, after `>` what the daemon sent and after `<` what the
//! keeper did, its type, and its body: a text as it is, else `x` with two hexadecimal digits a byte. What is read and written
//! here does not know the protocol's own code: an eleven-line file format would be no proof if that code had made it.

use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde_json::Value;

/// Types whose body is a text.
const TEXTS: [u8; 7] = [1, 2, 8, 64, 65, 68, 69];

/// A frame, and who sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub by_daemon: bool,
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Told {
    /// As it goes through a socket, or stands in the file that a keeper leaves.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len() + 1).unwrap();
        [&length.to_le_bytes()[..], &[self.kind], &self.body].concat()
    }

    /// Of a text that is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn line(&self) -> String {
        let text = || String::from_utf8(self.body.clone()).unwrap();
        let hex = || self.body.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let body = if TEXTS.contains(&self.kind) { text() } else { format!("x{}", hex()) };
        format!("{} {} {body}", if self.by_daemon { '>' } else { '<' }, self.kind)
    }

    fn parse(line: &str) -> Told {
        let mut words = line.splitn(3, ' ');
        let by_daemon = words.next() == Some(">");
        let kind: u8 = words.next().unwrap().parse().unwrap();
        let body = words.next().unwrap();
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let body = match body.strip_prefix('x').filter(|_| !TEXTS.contains(&kind)) {
            Some(hex) => hex.as_bytes().chunks(2).map(digits).collect(),
            None => body.as_bytes().to_vec(),
        };
        Told { by_daemon, kind, body }
    }
}

/// Where recordings lie.
fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keep_recorded").join(name)
}

/// The versions of the protocol of which there are recordings.
pub fn versions() -> Vec<u32> {
    let names = std::fs::read_dir(place("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<u32> =
        names.filter_map(|name| name.split_once('-')?.0.strip_prefix('v')?.parse().ok()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// What was recorded.
pub fn read(version: u32, name: &str) -> Vec<Told> {
    let text = std::fs::read_to_string(place(&format!("v{version}-{name}.txt"))).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(Told::parse).collect()
}

/// Writes a recording, under a line that says what it is.
pub fn write(version: u32, name: &str, what: &str, told: &[Told]) {
    let lines: String = told.iter().map(|told| told.line() + "\n").collect();
    std::fs::write(place(&format!("v{version}-{name}.txt")), format!("# {what}\n{lines}")).unwrap();
}

/// One end of a connection by hand.
pub struct End {
    pub socket: UnixStream,
    bytes: Vec<u8>,
    /// What came along with the first bytes.
    pub descriptor: Option<OwnedFd>,
}

impl End {
    pub fn new(socket: UnixStream) -> End {
        socket.set_read_timeout(Some(crate::common::DEADLINE)).unwrap();
        End { socket, bytes: Vec::new(), descriptor: None }
    }

    /// The next frame; `None` once the other end is gone.
    pub fn next(&mut self, by_daemon: bool) -> Option<Told> {
        loop {
            if let Some(told) = take(&mut self.bytes, by_daemon) {
                return Some(told);
            }
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut buffer = [0; 65_536];
            let came =
                recvmsg(&self.socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC);
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                    self.descriptor = descriptors.next();
                }
            }
            match came {
                Ok(came) if came.bytes > 0 => self.bytes.extend_from_slice(&buffer[..came.bytes]),
                Ok(_) | Err(rustix::io::Errno::CONNRESET) => return None,
                Err(error) => panic!("no frame comes: {error}"),
            }
        }
    }

    /// Sends a frame; whether the other end is there.
    pub fn send(&mut self, told: &Told) -> bool {
        self.socket.write_all(&told.bytes()).is_ok()
    }

    /// The same with a descriptor.
    pub fn send_with(&mut self, told: &Told, descriptor: &OwnedFd) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let bytes = told.bytes();
        let sent = sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(sent, bytes.len());
    }
}

/// The frames of a file that a keeper has left.
pub fn of_file(path: PathBuf) -> Vec<Told> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    std::iter::from_fn(|| take(&mut bytes, false)).collect()
}

fn take(bytes: &mut Vec<u8>, by_daemon: bool) -> Option<Told> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let frame = bytes.get(4..4 + length)?;
    let told = Told { by_daemon, kind: frame[0], body: frame[1..].to_vec() };
    bytes.drain(..4 + length);
    Some(told)
}
