//! A client of the daemon, for programs: it submits commands, and follows events without missing one.
//!
//! ```no_run
//! use futures_lite::StreamExt as _;
//! use runabout::client::{Client, Failure, What};
//! use runabout::wire::Submit;
//!
//! # async fn example() -> Result<(), Failure> {
//! let client = Client::new("http://pi.local:7867")?.with_token("rbs_…");
//! let run = client.submit(&Submit::script("make -j4")).await?;
//! let mut events = client.follow(run.id, "0");
//! while let Some(delivery) = events.next().await {
//!     let delivery = delivery?;
//!     if let What::Output(_, bytes) = &delivery.event.what {
//!         print!("{}", String::from_utf8_lossy(bytes));
//!     }
//!     // Kept somewhere, `delivery.cursor` is where another process goes on, after this event and before the next.
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It needs no executor of its own: `smol::block_on` and any other executor will do, since timers and sockets are driven
//! by async-io's own thread. With `default-features = false, features = ["client", "tls"]` the crate has no daemon in it
//! and builds for other systems than Linux.
//!
//! Reading order: `reader` (the [`Client`] and its streams), `target` (to whom), `connection` (one request), `download`
//! (one whose answer is long), `patience` (again), `follow` (a run's events), `failure` (what can go wrong). It knows the
//! daemon by its HTTP interface alone: it must never import the store, the runner, the feed or the server, and it prints
//! nothing.

pub(crate) mod connection;
mod download;
pub(crate) mod failure;
pub(crate) mod follow;
pub(crate) mod kept;
pub(crate) mod patience;
mod reader;
pub(crate) mod target;

pub use self::failure::{Failure, Problem};
pub use self::follow::Line;
pub(crate) use self::reader::random_key;
pub use self::reader::{Client, Delivery, Events, Filter, Run};
pub use crate::wire::{OutcomeBody, ReceivedEvent, ReceivedGap, What};
