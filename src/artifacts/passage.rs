//! Lets one user pass through a directory of the daemon's to what is his in it: he may look nothing up there that he cannot
//! name, and write nothing.
//!
//! By an entry in the directory's access list, so that it concerns nobody else. See acl(5) for what entries mean, and the
//! kernel's `posix_acl_xattr.h` for how they are written.

use std::io;

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use rustix::io::Errno;

use crate::accounts::Account;
use crate::dir::Dir;

const ACCESS_LIST: &str = "system.posix_acl_access";
const VERSION: u32 = 2;
const NOBODY_NAMED: u32 = u32::MAX;
/// Entries beyond which a list is not touched.
const LIST_BYTES_MAX: usize = 4_096;
const SEARCH: u16 = 1;

/// Whom an entry is for, by its tag.
const OWNER: u16 = 1;
const USER: u16 = 2;
const GROUP: u16 = 4;
const MASK: u16 = 16;
const OTHERS: u16 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u16,
    may: u16,
    id: u32,
}

/// Lets the account pass, unless everybody may.
///
/// # Errors
/// Where the file system has no access lists, or the directories above are closed; says what to do.
pub(super) fn open(dir: &Dir, account: &Account) -> io::Result<()> {
    let (path, mode) = (dir.path(), dir.mode()?);
    let Account { name, uid, .. } = account;
    if let Some(above) = path.parent().filter(|above| !account.may_enter(above)) {
        return Err(io::Error::other(format!("user {name} may not enter {}: chmod o+x it", above.display())));
    }
    if mode & 0o001 != 0 {
        return Ok(());
    }
    let mut list = read(dir)?.unwrap_or_else(|| of_mode(mode));
    let wanted = Entry { tag: USER, may: SEARCH, id: *uid };
    match list.iter_mut().find(|entry| entry.tag == USER && entry.id == *uid) {
        Some(known) => known.may |= SEARCH,
        None => {
            let at = list.iter().take_while(|entry| entry.tag <= USER).count();
            list.insert(at, wanted);
        }
    }
    match list.iter_mut().find(|entry| entry.tag == MASK) {
        Some(mask) => mask.may |= SEARCH,
        None => {
            let at = list.iter().take_while(|entry| entry.tag < MASK).count();
            list.insert(at, Entry { tag: MASK, may: SEARCH | group_of(&list), id: NOBODY_NAMED });
        }
    }
    fsetxattr(dir, ACCESS_LIST, &bytes(&list), XattrFlags::empty()).map_err(|error| match error {
        Errno::OPNOTSUPP => io::Error::other(format!(
            "its file system has no access lists, by which user {name} alone could be let through: chmod o+x {}",
            path.display()
        )),
        other => other.into(),
    })
}

fn group_of(list: &[Entry]) -> u16 {
    list.iter().find(|entry| entry.tag == GROUP).map_or(0, |entry| entry.may)
}

fn read(dir: &Dir) -> io::Result<Option<Vec<Entry>>> {
    let mut buffer = vec![0; LIST_BYTES_MAX];
    let length = match fgetxattr(dir, ACCESS_LIST, &mut buffer) {
        Ok(length) => length,
        Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(entries) = buffer.get(4..length) else { return Ok(None) };
    let entry = |bytes: &[u8]| Entry {
        tag: u16::from_le_bytes([bytes[0], bytes[1]]),
        may: u16::from_le_bytes([bytes[2], bytes[3]]),
        id: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    Ok(Some(entries.chunks_exact(8).map(entry).collect()))
}

fn of_mode(mode: u32) -> Vec<Entry> {
    let may = |shift: u32| (mode >> shift & 0o7) as u16;
    [(OWNER, may(6)), (GROUP, may(3)), (OTHERS, may(0))].map(|(tag, may)| Entry { tag, may, id: NOBODY_NAMED }).to_vec()
}

fn bytes(list: &[Entry]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for Entry { tag, may, id } in list {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(may.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}
