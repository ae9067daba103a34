//! A reader's end of its mailbox.

use std::sync::Arc;

use async_channel::{Receiver, TryRecvError};

use super::mailboxes::{Item, Mailbox, Mailboxes, Wants};
use super::stretch::Stretch;
use crate::store::Watch;

/// What a subscription has to say.
pub(super) enum Live {
    /// The next events, or later ones.
    Stretch(Arc<Stretch>),
    /// Events were not put in: read on from SQLite.
    Lagging,
    /// Nothing follows: the daemon ends.
    Closed,
}

/// A reader's end of its mailbox: dropped, the mailbox is forgotten.
pub(super) struct Subscription {
    inbox: Receiver<Item>,
    mailbox: Arc<Mailbox>,
    mailboxes: Arc<Mailboxes>,
    wants: Wants,
    /// While they are here the runs' output is paced for somebody who looks.
    _watches: Vec<Watch>,
}

impl Subscription {
    /// A mailbox for what is wanted.
    pub fn new(mailboxes: &Arc<Mailboxes>, wants: Wants, watches: Vec<Watch>) -> Subscription {
        let (mailbox, inbox) = mailboxes.add(wants.clone());
        Subscription { inbox, mailbox, mailboxes: mailboxes.clone(), wants, _watches: watches }
    }

    /// Waits for the next thing.
    pub async fn next(&self) -> Live {
        loop {
            if let Some(live) = self.try_next() {
                return live;
            }
            match self.inbox.recv().await {
                Ok(Some(stretch)) => return self.take(stretch),
                Ok(None) => {}
                Err(_) => return Live::Closed,
            }
        }
    }

    /// The next thing, if it is there. What is held is given out before the lag is told.
    pub fn try_next(&self) -> Option<Live> {
        loop {
            return match self.inbox.try_recv() {
                Ok(Some(stretch)) => Some(self.take(stretch)),
                Ok(None) => continue,
                // Cleared before the caller reads SQLite: what is committed after that read comes by the mailbox.
                Err(_) if self.mailbox.take_lag() => Some(Live::Lagging),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => Some(Live::Closed),
            };
        }
    }

    fn take(&self, stretch: Arc<Stretch>) -> Live {
        self.mailbox.taken(&stretch);
        Live::Stretch(stretch)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.mailboxes.remove(&self.wants, &self.mailbox);
        while let Ok(stretch) = self.inbox.try_recv() {
            stretch.map(|stretch| self.take(stretch));
        }
    }
}
