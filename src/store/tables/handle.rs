//! The handle by which async code reaches the store. Each table adds its own requests to it.

use std::sync::Arc;

use async_channel::Receiver;

use crate::store::engine::backlog::Backlog;
use crate::store::engine::committed::Committed;
use crate::store::engine::orders::Order;
use crate::store::engine::published::Published;
use crate::store::engine::requests::Requests;
use crate::store::tables::sessions::live::Sessions;
use crate::wake::Bell;

/// Reaches the store's two threads; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(in crate::store) requests: Requests,
    pub(in crate::store) published: Arc<Published>,
    pub(in crate::store) backlog: Backlog,
    pub(in crate::store) committed: Committed,
    pub(in crate::store) orders: Receiver<Order>,
    pub(in crate::store) bell: Bell,
    pub(in crate::store) instance: Arc<str>,
    pub(in crate::store) cookie_id: Arc<str>,
    pub(in crate::store) sessions: Arc<Sessions>,
}

impl Store {
    /// Name of this database.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Id of this database's cookie: its first name, which a restored copy keeps with its sessions.
    pub fn cookie_id(&self) -> &str {
        &self.cookie_id
    }

    /// Output that waits for a commit.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Committed events that wait for the fan-out.
    pub fn committed(&self) -> &Committed {
        &self.committed
    }
}
