//! The server: it accepts connections, speaks HTTP on them, and closes them again, all within limits.
//!
//! It knows no route. It never spins where descriptors run out, and no connection outlives [`serve()`], except streams.

mod accept_tcp;
mod accept_unix;
mod admission;
pub mod bridge;
mod connection;
mod connection_limits;
mod fragment;
mod head_timer;
mod hyper_io;
mod listen;
pub mod metered;
pub mod reply;
pub mod rope;
mod serve;
mod serving;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
pub mod transport;

pub use self::bridge::Site;
pub use self::listen::{Listeners, SocketFile, UnixAgain, bind_tcp, bind_unix, take_tcp};
pub use self::serve::serve;
pub use self::tls::Tls;

#[cfg(test)]
mod tests;
