//! Runabout queues commands durably in SQLite, runs them, records everything that happens to them as numbered events,
//! and pushes those to any number of readers, each of which sees every event once, in order, however often it
//! disconnects and reconnects.
//!
//! ```text
//!            TCP, Unix socket                                     one thread: the executor
//!                  │
//!   http   server ─┴─ gate ─ routes ─ handlers ─ streams          who asks, what for, in which form
//!            │                          │          ▲
//!            │                          │   feed ──┘ Hub ─ Follower      a cursor made into a sequence
//!            │                          │    ▲
//!            ▼                          ▼    │ committed: events on their way out
//!   ───────────────── store: handle ── jobs ─┴─────────────────── a channel
//!                       thread: batch, BEGIN … COMMIT, answer     one thread: writes SQLite
//!                       reads: one snapshot a read                one thread: reads SQLite
//!                       ▲                 ▲
//!                       │ orders          │ backlog: output on its way in
//!   scheduler ──────────┴── runner: attempt, execution, appender, running, orphans
//! ```
//!
//! # Layers
//! Imports point down only: `main → daemon → http → feed → store → wake → domain` and `scheduler → runner → store`.
//! - The domain ([`numbers`], [`run`], [`job`], [`hook`], [`cursor`], [`schedule`], [`event`], [`scope`], [`access`],
//!   [`run_tokens`], [`text`], [`clock`]): types and
//!   rules, without I/O.
//! - [`inputs`] is where requests meet commands that run: bytes for their standard inputs, sizes for their terminals.
//! - [`store`] is the only part that names SQLite. It knows neither readers nor processes.
//! - [`process`] starts, finds and signals one command, without executor and store.
//! - [`keep`] is the other program in the binary: a keeper, which owns one command that outlives the daemon. Its `protocol` and
//!   `frame` are what both ends speak.
//! - [`http`] is the only part that names tide, hyper and tungstenite. It does not know what runs.
//! - [`hooks`] tells others of ends, by HTTP; [`dial`] is what every connection that is made stands on.
//! - [`wire`] has the JSON of the protocol, each shape once for both ends, and a reader's bookmark; no I/O.
//! - [`client`] is a connection to a daemon and a reader of its events, by the protocol alone; [`cli`] is the command line,
//!   its first user.
//! - [`upkeep`] works on the daemon's files without the daemon.
//! - [`tls`] is what both ends of an encrypted connection share; without its Cargo feature there are stubs in its place.
//!   [`systemd`] talks to the service manager.
//! - [`dir`] is the only way to files in a directory that another user may write, also for SQLite. [`state_lock`] locks the
//!   state directory; [`holder`] finds other processes that have its database open.
//!
//! # Three threads
//! Everything async runs on the main thread, beside the reactor's helper thread: WebSockets that are written to on an executor
//! of their own, a few at a time, and in between everything else on another. SQLite has two threads with a connection each:
//! one writes, one only reads, so that a commit that waits for the medium holds up no read, and reads hold up no commit.
//! Both take jobs from bounded channels. Output waits in the [`store::Backlog`], from which every commit takes it along;
//! committed events wait in [`store::Committed`] for the fan-out.
//!
//! A transaction does urgent work first (for which a person or a command waits), and takes no more once its time is over. A
//! read is bounded in rows, bytes and time, and returns what it has found. Its snapshot is taken after the request, so that a
//! client reads its own acknowledged writes. SQLite shows a commit to readers only once it is flushed, so that a crash takes
//! back nothing that was read. Before the writer moves the log into the database it waits for the current read; otherwise
//! reads without a pause would keep the log growing.
//!
//! # Wake-ups
//! Every commit rings [`wake::Bell`], but one of durable cursors alone, which is nobody's work. It wakes the scheduler,
//! which claims if a hint says that there is something to claim, and the fan-out. [`wake::Stop`] holds the phase of the
//! shutdown and rings the Bell when that rises.
//!
//! # Invariants
//! 1. Every change of a run is one transaction that also appends its events. A `seq` is assigned in one statement,
//!    `sql/events/next_key.sql`; a run moves from one status to the next only by the statements under `sql/life/`.
//! 2. Nothing leaves the store before its COMMIT. Whatever is in memory can be dropped at any time.
//! 3. An attempt and its `started` event are on the medium before its process is spawned, so that it is started at most
//!    once, whatever dies. Its pid, start time and boot id are recorded before any of its output; those of a process that
//!    ends within milliseconds are recorded together with its end.
//! 4. Listen before you look: take the listener, check the condition, then wait. No `.await` while a lock is held.
//! 5. Every queue, page, body, frame, buffer and wait has a named limit, in bytes where it holds bytes.
//! 6. A long task that ends unexpectedly stops the daemon, which then exits non-zero.
//! 7. Whether a process lives is looked up (pid, start time, boot id), never guessed from elapsed time. Timers are
//!    monotonic; order is `seq` and `id`, never a clock.
//! 8. A run ends when its leader exits; then its pipes are drained for a moment. A background child that holds a pipe
//!    open cannot hang it.
//!
//! # Paths through the daemon
//! - **Submit**: handler → [`store::Store::submit`] (run and event `queued`, one transaction) → 201.
//! - **Authentication**: the gate finds the session in the store's memory, else reads it. A use renews the session in memory
//!   at once and is written now and then. A revocation ends the session and its streams right after its COMMIT.
//! - **Firing**: the scheduler sleeps until the first job is due → [`store::Store::fire`]: the firing, its run or the
//!   reason why
//!   there is none, and when the job is due next, in one transaction. What was fired stands in a table that no clock changes.
//! - **Claim**: a commit rings; the scheduler asks for claims. A commit that ends a run also claims the next one.
//! - **Orders**: after its COMMIT a claim becomes an order to start, and a cancel of a running command an order to stop. One
//!   channel carries them in commit order, so that no stop comes before its start.
//! - **Output**: pipe → the run's window in the backlog → the next commit, or one of the appender's own.
//! - **Push**: COMMIT → committed → ring → the fan-out encodes once → each reader's bounded channel. A full channel only marks
//!   its reader.
//! - **Read**: handler or Follower → the reading thread, one snapshot → answer. The Follower reads pages after its cursor
//!   until it has caught up, then takes pushed events; anything but `cursor + 1` sends it back to the pages.
//! - **Read all runs**: the same by `id` and through a filter. Ids have gaps; that no event is missed follows from the order
//!   of commits, as [`feed`] explains.
//! - **Hook**: the transaction of an end writes a delivery with all that will be sent, and the commit wakes the hooks' task →
//!   a connection a hook, oldest first → what came of it is written down before the next is sent.
//! - **Lack of space**: what the database cannot take is rolled back and waits: output in its window and then in the command's
//!   pipes, ends and claims with their callers. Meanwhile transactions carry only the essential (ends, cancels, deletes), if
//!   need be with the space of the ballast; everything is tried again once a second.
//! - **Displaced files**: at most a second before a commit, and at each checkpoint, the open files are compared with those
//!   that have their names. While they differ nothing is written, and reads go on.
//! - **A failing medium**: an error of COMMIT is not a rollback, so that a small commit is made in its place. Then the
//!   database is opened anew, its log is moved into it and read again, and what failed is tried again. If that fails too,
//!   the daemon ends.
//! - **Expiry**: the maintenance task sleeps until the first thing is due, or a commit says that there is too much. It removes
//!   in pieces, a transaction each, and lets waiting work in between; then it returns free pages to the disk. Output beyond a
//!   run's quota, or beyond the share of all live runs, is removed by the append that exceeds it, so that output never fills
//!   the database in which ends have to be recorded.
//! - **Stop**: connections, claims, runs, streams, store, each waited for: the reverse of the start.
//!
//! `CONTRIBUTING.md` lists the files that each common kind of change touches.

#[cfg(all(feature = "daemon", not(target_os = "linux")))]
compile_error!("the daemon is for Linux; the client builds with --no-default-features --features client,tls");

#[cfg(feature = "daemon")]
pub mod access;
#[cfg(all(feature = "client", unix))]
pub mod accounts;
#[cfg(feature = "daemon")]
pub mod artifacts;
#[cfg(feature = "client")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "daemon")]
pub mod clock_steps;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod cow;
#[cfg(feature = "daemon")]
pub mod credentials;
#[cfg(feature = "daemon")]
pub mod cursor;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod descriptors;
#[cfg(feature = "client")]
pub mod dial;
#[cfg(feature = "daemon")]
pub mod dir;
pub mod event;
#[cfg(feature = "daemon")]
pub mod feed;
#[cfg(feature = "daemon")]
pub mod free_space;
#[cfg(feature = "daemon")]
pub mod holder;
pub mod hook;
#[cfg(feature = "daemon")]
pub mod hooks;
#[cfg(feature = "daemon")]
pub mod http;
#[cfg(feature = "daemon")]
pub mod inputs;
pub mod job;
#[cfg(feature = "daemon")]
pub mod keep;
#[cfg(feature = "daemon")]
pub mod logging;
#[cfg(feature = "daemon")]
pub mod maintenance;
#[cfg(feature = "daemon")]
pub mod metrics;
pub mod numbers;
#[cfg(feature = "daemon")]
pub mod process;
#[cfg(feature = "daemon")]
pub mod replica;
pub mod run;
#[cfg(feature = "daemon")]
pub mod run_tokens;
#[cfg(feature = "daemon")]
pub mod runner;
#[cfg(feature = "daemon")]
pub mod schedule;
#[cfg(feature = "daemon")]
pub mod scheduler;
pub mod scope;
#[cfg(feature = "daemon")]
pub mod signals;
#[cfg(feature = "client")]
pub mod state_dir;
#[cfg(feature = "daemon")]
pub mod state_lock;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
pub mod system;
#[cfg(feature = "daemon")]
pub mod systemd;
pub mod text;
#[cfg(feature = "client")]
pub mod timer;
#[cfg(feature = "client")]
pub mod tls;
#[cfg(feature = "daemon")]
pub mod upkeep;
#[cfg(feature = "daemon")]
pub mod wake;
pub mod wire;
mod words;
#[cfg(feature = "daemon")]
pub mod zone_changes;
