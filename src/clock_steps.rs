//! ClockSteps of the wall clock, notices when they happen: timers are monotonic, and do not notice that their time has come.
//!
//! Costs nothing until somebody sets the clock, or the machine wakes from a sleep. It says that the clock has jumped, and
//! from where to where; what is due then is for others to see.

use std::io;
use std::os::fd::OwnedFd;
#[cfg(debug_assertions)]
use std::path::PathBuf;
use std::time::Instant;

use async_io::Async;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock::UnixMs;

/// When the timer expires whose only purpose is to be cancelled: in the year 2255, in seconds since 1970.
const NEVER_S: i64 = 9_000_000_000;

/// A debug build reads milliseconds that are to be added to the clock from the file that this variable names, and again
/// whenever it is written. A release knows nothing of it.
#[cfg(debug_assertions)]
const TEST_CLOCK: &str = "RUNABOUT_TEST_CLOCK";

/// One jump.
#[derive(Clone, Copy, Debug)]
pub struct ClockStep {
    /// What the clock would show had nobody touched it.
    pub from: UnixMs,
    /// What it shows.
    pub to: UnixMs,
}

/// Waits for the clock to be set.
pub struct ClockSteps {
    notices: Async<OwnedFd>,
    /// What the clock showed when.
    seen: (Instant, UnixMs),
    #[cfg(debug_assertions)]
    injected: Option<PathBuf>,
}

impl ClockSteps {
    /// ClockSteps from now on.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn watch() -> io::Result<ClockSteps> {
        #[cfg(debug_assertions)]
        if let Some(file) = std::env::var_os(TEST_CLOCK).map(PathBuf::from) {
            use rustix::fs::inotify;
            let notices = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            inotify::add_watch(&notices, &file, inotify::WatchFlags::CLOSE_WRITE)?;
            inject(&file);
            return Ok(ClockSteps { notices: Async::new(notices)?, seen: look(), injected: Some(file) });
        }
        let notices = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let never = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: NEVER_S, tv_nsec: 0 },
        };
        timerfd_settime(&notices, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &never)?;
        Ok(ClockSteps {
            notices: Async::new(notices)?,
            seen: look(),
            #[cfg(debug_assertions)]
            injected: None,
        })
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// When the system cannot tell any more.
    pub async fn next(&mut self) -> io::Result<ClockStep> {
        loop {
            self.notices.readable().await?;
            match rustix::io::read(&self.notices, &mut [0; 512]) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // The timer was cancelled because the clock was set.
                Ok(_) | Err(Errno::CANCELED) => break,
                Err(error) => return Err(error.into()),
            }
        }
        #[cfg(debug_assertions)]
        if let Some(file) = &self.injected {
            inject(file);
        }
        let (then, shown) = std::mem::replace(&mut self.seen, look());
        let passed = i64::try_from(then.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(ClockStep { from: UnixMs(shown.0.saturating_add(passed)), to: self.seen.1 })
    }
}

fn look() -> (Instant, UnixMs) {
    (Instant::now(), UnixMs::now())
}

#[cfg(debug_assertions)]
fn inject(file: &std::path::Path) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    match text.trim().parse() {
        Ok(offset_ms) => crate::clock::set_offset_ms(offset_ms),
        Err(_) => log::error!("{} does not hold milliseconds: {text:?}", file.display()),
    }
}
