//! How many TCP connections are open at once, in all and per address.
//!
//! A place is given back when the connection is dropped, also one that became a stream.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Census {
    all_max: usize,
    each_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Permit {
    census: Arc<Census>,
    address: IpAddr,
}

impl Census {
    /// Room for `all_max`, and for `each_max` of one address.
    pub fn new(all_max: usize, each_max: usize) -> Arc<Census> {
        Arc::new(Census { all_max, each_max, open: Mutex::default() })
    }

    /// A place for one more of this address, if there is one.
    pub fn admit(self: &Arc<Census>, address: IpAddr) -> Option<Permit> {
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = open.each.get(&address).copied().unwrap_or(0);
        if open.all >= self.all_max || of_address >= self.each_max {
            return None;
        }
        open.all += 1;
        open.each.insert(address, of_address + 1);
        Some(Permit { census: self.clone(), address })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.census.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        match open.each.get_mut(&self.address) {
            Some(of_address) if *of_address > 1 => *of_address -= 1,
            _ => drop(open.each.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let census = Census::new(3, 2);
        let (one, other) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let held = [census.admit(one), census.admit(one)];
        assert!(held.iter().all(Option::is_some) && census.admit(one).is_none());
        let last = census.admit(other);
        assert!(last.is_some() && census.admit(other).is_none());
        drop((held, last));
        let open = census.open.lock().expect("lock");
        assert_eq!((open.all, open.each.len()), (0, 0));
    }
}
