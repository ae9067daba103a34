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
//!   scheduler ──────────┴── runner: process, output, appender, running, orphans
//! ```
//!
//! # Layers
//! Imports point down only: `main → daemon → http → feed → store → wake → domain` and `scheduler → runner → store`.
//! The domain ([`numbers`], [`run`], [`event`], [`scope`], [`access`], [`run_tokens`], [`text`], [`clock`]) does no I/O. [`store`] alone names
//! SQLite and knows neither who reads nor who runs; [`http`] alone names tide, hyper and tungstenite, and does not know
//! what runs; [`client`] is a connection to the daemon and a reader of its events, and knows the daemon by its protocol alone; [`cli`]
//! is the command line, its first user;
//! [`upkeep`] is what works on the daemon's files beside it. [`tls`] is what the two ends of an encrypted connection have in
//! common; without its Cargo feature both have a stub in its place. [`systemd`] is what the service manager is told and
//! hands over. Files in a directory that somebody else may write are reached through [`dir`] alone, also by SQLite: what is
//! in the state directory ([`state_lock`]), and who else has its database open ([`holder`]).
//!
//! # Three threads
//! Everything async runs on one executor on the main thread, beside the reactor's helper. SQLite has two threads, each
//! with a connection of its own: one writes, one only reads, so that a commit that waits for the medium holds up no read
//! and no number of reads holds up a commit. Towards them jobs go down two bounded channels; output waits in the
//! [`store::Backlog`], from where every commit takes it along; what was committed waits in [`store::Committed`] until the
//! fan-out hands it on.
//!
//! A transaction does urgent work first (what a person or a command waits for) and takes no more once its time is over;
//! a read is bounded in rows, bytes and time and gives what it has found. A read takes its snapshot after it was asked
//! for: who was answered a write reads it. SQLite shows a commit only once it is flushed, so that a read sees nothing that
//! a crash takes back, and what it does not see yet is pushed later. Before it moves the log into the database the writer
//! waits for the read that is under way; else reads without a pause would keep the log from ever beginning anew.
//!
//! # One Event
//! [`wake::Bell`] is rung by every commit. It wakes the scheduler, which claims if a hint says that something can be
//! claimed, and the fan-out. [`wake::Stop`] is the sticky flag that rings it on the way out.
//!
//! # Invariants
//! 1. Every change of a run is one transaction that also appends its events. A `seq` is assigned in one statement,
//!    `sql/events/append.sql`.
//! 2. Nothing leaves the store before its COMMIT. Dropping anything that is in memory is always safe.
//! 3. An attempt and its `started` event are on the medium before its process is spawned, so that it is started at most
//!    once, whatever dies. Its pid, start time and boot id are written before any of its output; what is over within
//!    milliseconds is written down together with its end.
//! 4. Listen before you look: take the listener, check the condition, then wait. No `.await` while a lock is held.
//! 5. Every queue, page, body, frame, buffer and wait has a named limit, in bytes where it holds bytes.
//! 6. A long task that ends unexpectedly stops the daemon, which then exits non-zero.
//! 7. Whether a process lives is looked up (pid, start time, boot id), never guessed from elapsed time. Timers are
//!    monotonic; order is `seq` and `id`, never a clock.
//! 8. A run ends when its leader exits; then its pipes are drained for a moment. A background child that holds a pipe
//!    open cannot hang it.
//!
//! # Ways through it
//! - **submit**: handler → [`store::Store::submit`] (run and event `queued`, one transaction) → 201.
//! - **who is asking**: the gate finds the session in the store's memory, else reads it. A use moves its end there, for
//!   everybody who holds it, and is written now and then; a revocation ends it right behind its COMMIT, and its streams.
//! - **claim**: a commit rings; the scheduler asks for claims; what ends one run also claims the next in its commit.
//! - **order**: behind its COMMIT a claim is an order to start, a cancel of what runs an order to stop, down one channel in
//!   the order of the commits, so that no stop comes before its start.
//! - **output**: pipe → the run's window in the backlog → whichever commit comes first, or the appender's own.
//! - **push**: COMMIT → committed → ring → fan-out encodes once → each reader's bounded channel; full only marks it.
//! - **read**: handler or Follower → the reading thread, one snapshot → answer. The Follower pages after its cursor until it
//!   has caught up, then takes what is pushed; anything but `cursor + 1` sends it back to the pages.
//! - **too little room**: what the database cannot take is rolled back and waits: output in its window and then in the
//!   command's pipes, ends and claims with whoever asks. While it waits, transactions carry only what must be (ends,
//!   cancels, deletes), from the ballast if need be; once a second everything is tried again.
//! - **files that are taken away**: at most a second before a commit, and at each checkpoint, the open files are compared
//!   with what has their names; while they differ nothing is written, and reads go on.
//! - **a medium that fails**: an error of COMMIT is not a rollback, so that a small commit is made in its place; then the
//!   database is opened anew, written back and read again, and what had failed is tried again. Else the daemon ends.
//! - **expire**: the maintenance task sleeps until the first thing is due or a commit says that there is too much; then
//!   pieces, a transaction each, with what waits between them; at last spare pages go back to the disk. What is too much
//!   of a run's output, or of all live runs' together, goes with the append that brings it: what runs print never fills
//!   the database that their ends have to be written into.
//! - **read all runs**: the same by `id` and through a filter. Ids skip: that none is missed rests on the order of
//!   commits, as [`feed`] says.
//! - **stop**: accept, claims, runs, streams, store: the mirror of the start, each waited for.
//!
//! What a change of each common kind touches stands in `CONTRIBUTING.md`.

#[cfg(all(feature = "daemon", not(target_os = "linux")))]
compile_error!("the daemon is for Linux; the client builds with --no-default-features --features client,tls");

#[cfg(feature = "daemon")]
pub mod access;
#[cfg(all(feature = "client", unix))]
pub mod accounts;
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
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod descriptors;
#[cfg(feature = "daemon")]
pub mod dir;
pub mod event;
#[cfg(feature = "daemon")]
pub mod feed;
#[cfg(feature = "daemon")]
pub mod free_space;
pub mod holder;
#[cfg(feature = "daemon")]
pub mod http;
#[cfg(feature = "daemon")]
pub mod logging;
#[cfg(feature = "daemon")]
pub mod maintenance;
#[cfg(feature = "daemon")]
pub mod metrics;
pub mod numbers;
#[cfg(feature = "daemon")]
pub mod replica;
pub mod run;
#[cfg(feature = "daemon")]
pub mod run_tokens;
#[cfg(feature = "daemon")]
pub mod runner;
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
pub mod tls;
#[cfg(feature = "daemon")]
pub mod upkeep;
#[cfg(feature = "daemon")]
pub mod wake;
pub mod wire;
mod words;
