//! One file a resource; a handler decodes, makes one call, and encodes.

pub mod all_events;
pub mod artifacts;
pub mod bulk;
pub mod cursors;
pub mod drain;
pub mod enrollment;
pub mod events;
pub mod hooks;
pub mod input;
pub mod jobs;
pub mod log;
pub mod openapi;
pub mod queues;
pub mod runs;
pub mod search;
pub mod sessions;
pub mod system;
