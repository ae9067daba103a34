//! Sessions: who was let in, and until when.
//!
//! A session ends when it is revoked, or was not used for its `ttl_s`. `live` caches those in use, `table` reads and
//! writes rows, `requests` is what others call. Only SHA-256 of a token ever comes here.

pub mod live;
pub mod requests;
pub mod session;
pub mod table;
