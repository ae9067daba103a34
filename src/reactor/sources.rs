//! The descriptors that a reactor waits for, by epoll.
//!
//! What is waited for stays registered after it came, so that who waits again and again costs no further system call. Only
//! what comes while nobody waits for it is taken out; the next who waits puts it back, and is told at once.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use rustix::event::epoll::{CreateFlags, Event, EventData, EventFlags};
use rustix::event::{Timespec, epoll};

/// Events that are taken at once; more of them come with the next wait.
const EVENTS_MAX: usize = 128;

/// The id of the bell, by which other threads end a wait.
pub(super) const BELL: u64 = 0;
/// Tasks that wait for one thing at the same time; more than these look again in turns.
const WAITING_MAX: usize = 8;
/// What ends a wait in either direction.
const BROKEN: EventFlags = EventFlags::HUP.union(EventFlags::ERR);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Something to read, or the end.
    In,
    /// Room to write, or nobody who reads.
    Out,
}

impl Way {
    fn asked(self) -> EventFlags {
        match self {
            Way::In => EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP,
            Way::Out => EventFlags::OUT,
        }
    }
}

/// A descriptor, and who waits for it.
pub(super) trait Source: Send + Sync {
    /// The descriptor.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Who waits for it.
    fn waiting(&self) -> &Mutex<Waiting>;
}

/// Who waits for one descriptor.
#[derive(Default)]
pub(super) struct Waiting {
    /// What epoll watches; nothing: it does not know the descriptor.
    watched: EventFlags,
    ways: [OfWay; 2],
}

#[derive(Default)]
struct OfWay {
    wakers: Vec<Waker>,
    /// How often it came.
    came: u64,
    /// It came, and no poll was told yet.
    is_untold: bool,
}

impl Waiting {
    fn way(&mut self, way: Way) -> &mut OfWay {
        &mut self.ways[way as usize]
    }

    /// How often it came.
    pub(super) fn came(&mut self, way: Way) -> u64 {
        self.way(way).came
    }

    /// Whether it came since a poll was told last.
    pub(super) fn take_untold(&mut self, way: Way) -> bool {
        std::mem::take(&mut self.way(way).is_untold)
    }
}

/// A reactor's descriptors.
pub(super) struct Sources {
    epoll: OwnedFd,
    of_id: Mutex<HashMap<u64, Weak<dyn Source>>>,
}

impl Sources {
    pub(super) fn new(bell: &OwnedFd) -> io::Result<Sources> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // By its edge: each ring ends one wait, and nobody has to read it.
        epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        Ok(Sources { epoll, of_id: Mutex::default() })
    }

    pub(super) fn insert(&self, id: u64, source: Weak<dyn Source>) {
        lock(&self.of_id).insert(id, source);
    }

    /// Forgets a descriptor, before it is closed.
    pub(super) fn remove(&self, id: u64, source: &dyn Source) {
        lock(&self.of_id).remove(&id);
        let mut waiting = lock(source.waiting());
        // What fails here is one that epoll does not know.
        let _ = self.watch(id, source.fd(), &mut waiting, EventFlags::empty());
    }

    /// Has a task woken when it comes.
    pub(super) fn wait_for(&self, id: u64, source: &dyn Source, way: Way, cx: &Context<'_>) -> io::Result<()> {
        let mut waiting = lock(source.waiting());
        let wakers = &mut waiting.way(way).wakers;
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            if wakers.len() == WAITING_MAX {
                wakers.drain(..).for_each(Waker::wake);
            }
            wakers.push(cx.waker().clone());
        }
        let watched = waiting.watched | way.asked();
        self.watch(id, source.fd(), &mut waiting, watched)
    }

    fn watch(&self, id: u64, fd: BorrowedFd<'_>, waiting: &mut Waiting, wanted: EventFlags) -> io::Result<()> {
        let before = std::mem::replace(&mut waiting.watched, wanted);
        let done = match (before.is_empty(), wanted.is_empty()) {
            _ if before == wanted => Ok(()),
            (true, _) => epoll::add(&self.epoll, fd, EventData::new_u64(id), wanted),
            (_, true) => epoll::delete(&self.epoll, fd),
            _ => epoll::modify(&self.epoll, fd, EventData::new_u64(id), wanted),
        };
        done.map_err(|error| {
            waiting.watched = before;
            error.into()
        })
    }

    /// Waits so long, or without an end, until something comes; adds who waited for it.
    pub(super) fn wait(&self, wait: Option<Duration>, woken: &mut Vec<Waker>) {
        // A time that no clock reaches is no limit.
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let mut space = [const { MaybeUninit::<Event>::uninit() }; EVENTS_MAX];
        // A signal came: whoever called looks again.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut space, wait.as_ref()) else { return };
        for event in events {
            let (id, flags) = (event.data.u64(), event.flags);
            let source = lock(&self.of_id).get(&id).and_then(Weak::upgrade);
            if let Some(source) = source {
                self.came(id, &*source, flags, woken);
            }
        }
    }

    fn came(&self, id: u64, source: &dyn Source, flags: EventFlags, woken: &mut Vec<Waker>) {
        let mut waiting = lock(source.waiting());
        let mut wanted = waiting.watched;
        for way in [Way::In, Way::Out] {
            if !flags.intersects(way.asked() | BROKEN) {
                continue;
            }
            let of_way = waiting.way(way);
            if of_way.wakers.is_empty() {
                wanted.remove(way.asked());
                continue;
            }
            of_way.came += 1;
            of_way.is_untold = true;
            woken.append(&mut of_way.wakers);
        }
        // It stays watched where this fails, and is tried again with the next event.
        let _ = self.watch(id, source.fd(), &mut waiting, wanted);
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
