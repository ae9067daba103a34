//! Notices when the wall clock is set, or the machine wakes from sleep: timers are monotonic and do not see that.
//!
//! It costs nothing until then. It only reports the step, from which time to which; what is due then is for others to find.

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

/// When the timer expires whose only purpose is to be cancelled by a step: in the year 2255, in seconds since 1970.
const NEVER_S: i64 = 9_000_000_000;

/// Names a file with milliseconds that a debug build adds to the clock, and reads again whenever it is written. A release
/// build has no such variable.
#[cfg(debug_assertions)]
const TEST_CLOCK: &str = "RUNABOUT_TEST_CLOCK";

/// One step of the clock.
#[derive(Clone, Copy, Debug)]
pub struct ClockStep {
    /// What the clock would show without the step.
    pub from: UnixMs,
    /// What it shows now.
    pub to: UnixMs,
}

/// The steps of the clock, as they happen.
pub struct ClockSteps {
    notices: Async<OwnedFd>,
    /// When the clock was last read, and what it showed.
    seen: (Instant, UnixMs),
    #[cfg(debug_assertions)]
    injected: Option<PathBuf>,
}

impl ClockSteps {
    /// Watches for steps from now on.
    ///
    /// # Errors
    /// When the system cannot notify of them.
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

    /// Waits for the next step.
    ///
    /// # Errors
    /// When the system cannot notify of them any more.
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
