//! Sessions: who was let in, until when, and that nobody is beyond that. All that is known of them is known here.
//!
//! A session ends when it is revoked, or when it was not used for its `ttl_s`. `live` holds those that are in use,
//! `table` reads and writes them, `requests` is what others ask. Only SHA-256 of a token ever comes here.

pub mod live;
pub mod requests;
pub mod session;
pub mod table;
