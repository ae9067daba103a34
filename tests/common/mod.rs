//! What the tests stand on: a real daemon, a client that knows nothing of it but the contract, a reader that insists
//! on continuity.
//!
//! Never a fixed sleep to wait for something: [`eventually`], or a read with a deadline.

// Every file of the suite uses a part of it.
#![allow(dead_code, unused_imports)]

mod binary;
mod body;
mod bystanders;
mod cli;
mod clock;
mod daemon;
mod database;
mod http;
mod markdown;
mod page_files;
mod pages;
mod process;
mod reader;
mod reference;
mod runs;
mod script;
pub mod small_disk;
mod socket;
mod store;
mod tape;
mod temp;
mod transcript;
mod ws;

use std::time::{Duration, Instant};

pub use binary::{binary, binary_in};
pub use body::{BodyWire, Chunked, Framing};
pub use bystanders::Bystanders;
pub use cli::{Ended, Running, cli, newest, start};
pub use clock::{Clock, now_ms};
pub use daemon::{Builder, Daemon, wait_gone};
pub use database::{beside, number};
pub use http::{Call, Client, Connection, Response};
pub use markdown::{Block, Page};
pub use page_files::page_file;
pub use process::{
    Traced, command_line, cpu_ms, highest_resident_bytes, kill, live_pids_with, open_descriptors, proc_exists,
    resident_bytes, resident_file_bytes, signal, strace_is_there, threads, voluntary_switches,
};
pub use reader::{Reader, Via, wire_json};
pub use reference::{METHODS, Reference, escaped, walk};
pub use runs::{Metrics, assert_fields, chain, is_time, output_of};
pub use script::{Feed, Gate};
pub use socket::{Address, Socket};
pub use store::{new_run, store, store_keeping};
pub use tape::{Tape, difference, recordings};
pub use temp::TempDir;
pub use transcript::{Frame, Scope, Transcript};
pub use ws::Opening;

/// Makes each of these functions of a [`Via`] a test a transport: one body, told apart by its name.
macro_rules! over_each {
    ($via:ident in $module:ident: $($test:ident),+ $(,)?) => {
        mod $module {
            $(#[test] fn $test() { super::$test(crate::common::Via::$via) })+
        }
    };
    ($($test:ident),+ $(,)?) => {
        crate::common::over_each!(WebSocket in websocket: $($test),+);
        crate::common::over_each!(Sse in sse: $($test),+);
        crate::common::over_each!(Ndjson in ndjson: $($test),+);
    };
    (and pages: $($test:ident),+ $(,)?) => {
        crate::common::over_each!($($test),+);
        crate::common::over_each!(Pages in pages: $($test),+);
    };
}
pub(crate) use over_each;

/// How long anything may take that should take no time: generous, for a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds; fails with `what` when `deadline` has passed.
#[track_caller]
pub fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < until, "not within {deadline:?}: {what}");
        // A look every so often; what is waited for is the condition, not the time.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A generator of numbers that look random and are the same every time (xorshift64*).
pub struct Random(u64);

impl Random {
    /// `seed` tells one sequence from another.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}
