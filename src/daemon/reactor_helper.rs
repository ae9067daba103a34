//! Starts the reactor's helper thread, which the library has for programs whose threads wait for nothing: the daemon's one
//! async thread waits by the reactor itself.
//!
//! It takes the reactor over where nobody has it for 50 µs and more, as while a command is started. Then it stands between
//! every event and the one thread that has something to do with it: five switches a run that does nothing. So it is to be late.

use std::num::NonZeroU64;

use rustix::thread::{current_timer_slack, set_current_timer_slack};

/// How much later than it means to it may wake up, until something else wakes its processor. Where the async thread gives the
/// reactor up it wakes the helper itself, which is in time as ever.
const SLACK_NS: u64 = 20_000_000;

/// To be called before anything else uses the reactor. This thread is afterwards as it was before, and so are those that it
/// starts.
pub(super) fn start() {
    let own = current_timer_slack();
    if own.is_ok() {
        // At most a filter refuses it; then the helper is in time.
        let _ = set_current_timer_slack(NonZeroU64::new(SLACK_NS));
    }
    // A thread has the slack of the one that starts it, and the end of any wait by the reactor needs the helper.
    smol::block_on(async {});
    if let Ok(own) = own {
        let _ = set_current_timer_slack(NonZeroU64::new(own));
    }
}
