//! The database as a file: opened, checked, migrated, named, watched in its place, and read beside the daemon.

pub mod beside;
pub mod by_descriptor;
pub mod check;
pub mod lineage;
pub mod migrate;
pub mod place;
