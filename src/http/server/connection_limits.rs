//! Limits connections that are open at once, in all and per client: an address, or over the Unix socket a user.
//!
//! A place is given back when the connection is dropped, also one that became a stream.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections against the limits.
#[derive(Debug)]
pub(super) struct ConnectionLimits {
    all_max: usize,
    each_max: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    all: usize,
    each: HashMap<Client, usize>,
}

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    Address(IpAddr),
    User(u32),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Client {
        Client::Address(address.to_canonical())
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Arc<ConnectionLimits>,
    client: Client,
}

impl ConnectionLimits {
    /// At most `all_max` connections, and `each_max` of one client.
    pub fn new(all_max: usize, each_max: usize) -> Arc<ConnectionLimits> {
        Arc::new(ConnectionLimits { all_max, each_max, open: Mutex::default() })
    }

    /// A place for one more of this client, if there is one.
    pub fn admit(self: &Arc<ConnectionLimits>, client: impl Into<Client>) -> Option<Permit> {
        let client = client.into();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = open.each.get(&client).copied().unwrap_or(0);
        if open.all >= self.all_max || of_client >= self.each_max {
            return None;
        }
        open.all += 1;
        open.each.insert(client, of_client + 1);
        Some(Permit { limits: self.clone(), client })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        match open.each.get_mut(&self.client) {
            Some(of_client) if *of_client > 1 => *of_client -= 1,
            _ => drop(open.each.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = ConnectionLimits::new(3, 2);
        let (one, other) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let held = [limits.admit(one), limits.admit(one)];
        assert!(held.iter().all(Option::is_some) && limits.admit(one).is_none());
        let last = limits.admit(other);
        assert!(last.is_some() && limits.admit(other).is_none());
        drop((held, last));
        let open = limits.open.lock().expect("lock");
        assert_eq!((open.all, open.each.len()), (0, 0));
    }
}
