//! The database as a file: opened, checked, migrated, named, watched in its place, and read beside the daemon.

pub mod beside;
pub mod by_descriptor;
pub mod check;
pub mod connect;
pub mod error;
pub mod instance;
pub mod migrate;
pub mod pages;
pub mod place;
