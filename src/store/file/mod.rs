//! The database as a file: open, check, migrate, name and watch it, and read it beside the daemon.

pub mod beside;
pub mod beside_hooks;
pub mod by_descriptor;
pub mod check;
pub mod connect;
pub mod cursor_rows;
pub mod error;
pub mod instance;
pub mod migrate;
pub mod moving;
pub mod open_files;
pub mod pages;
