//! Limits bad tokens per client address. The same token counts once, so that a page that retries with a revoked session
//! locks nobody else out.
//!
//! It never keeps a token and never refuses a valid session. Its memory is bounded: a new address replaces the one that
//! was quiet the longest.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::error::Problem;

/// Different bad tokens of one address that are allowed within the window.
const BAD_TOKENS_MAX: usize = 10;
/// The window: how long a bad token counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered: some 300 bytes each.
const ADDRESSES_MAX: usize = 1_024;

/// Who presented bad tokens lately.
#[derive(Debug, Default)]
pub struct Throttle {
    bad: Mutex<HashMap<IpAddr, VecDeque<Bad>>>,
    /// Hashes tokens, with a key of this daemon's own, so that nobody can make two that collide.
    hashes: RandomState,
}

/// A bad token: a hash of it, and when it first came within the window.
#[derive(Clone, Copy, Debug)]
struct Bad {
    token: u64,
    since: Instant,
}

impl Throttle {
    /// Refuses an address that has used up its tries.
    ///
    /// # Errors
    /// `rate_limited`, with `Retry-After`.
    pub fn check(&self, address: IpAddr, now: Instant) -> Result<(), Problem> {
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        match bad.get(&network(address)).and_then(|tokens| blocked_for(tokens, now)) {
            None => Ok(()),
            Some(left) => {
                let seconds = left.as_secs() + 1;
                let detail = format!(
                    "{BAD_TOKENS_MAX} different bad tokens came from this address within a minute: try again in {seconds} s"
                );
                Err(Problem::rate_limited(detail).retry_after_s(seconds))
            }
        }
    }

    /// Counts a bad token, unless it was counted within the window.
    ///
    /// # Errors
    /// 429 where the address had used up its tries before; then this one does not count.
    pub fn count(&self, address: IpAddr, token: &str, now: Instant) -> Result<(), Problem> {
        self.check(address, now)?;
        let token = self.hashes.hash_one(token);
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(address);
        if bad.len() >= ADDRESSES_MAX && !bad.contains_key(&network) {
            make_room(&mut bad, now);
        }
        let tokens = bad.entry(network).or_default();
        tokens.retain(|known| now.saturating_duration_since(known.since) < WINDOW);
        if tokens.iter().all(|known| known.token != token) {
            tokens.push_back(Bad { token, since: now });
        }
        Ok(())
    }
}

/// How long the rest of the minute is, where ten came within it.
fn blocked_for(tokens: &VecDeque<Bad>, now: Instant) -> Option<Duration> {
    let oldest = (tokens.len() == BAD_TOKENS_MAX).then(|| tokens.front()).flatten()?;
    WINDOW.checked_sub(now.saturating_duration_since(oldest.since)).filter(|left| !left.is_zero())
}

fn make_room(bad: &mut HashMap<IpAddr, VecDeque<Bad>>, now: Instant) {
    let last = |tokens: &VecDeque<Bad>| tokens.back().map(|last| last.since);
    bad.retain(|_, tokens| last(tokens).is_some_and(|since| now.saturating_duration_since(since) < WINDOW));
    if bad.len() >= ADDRESSES_MAX {
        let quietest = bad.iter().min_by_key(|(_, tokens)| last(tokens)).map(|(network, _)| *network);
        if let Some(network) = quietest {
            bad.remove(&network);
        }
    }
}

/// An IPv6 client owns its /64 and can take any address of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ten_bad_tokens_and_the_rest_of_the_minute_is_closed() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for nth in 0..10 {
            throttle.count(ip("1.2.3.4"), &format!("t{nth}"), start + Duration::from_secs(nth)).expect("borne");
        }
        let problem = throttle.count(ip("1.2.3.4"), "t0", start + Duration::from_secs(20)).expect_err("closed");
        assert_eq!((problem.status, problem.code), (429, "rate_limited"));
        assert_eq!(problem.headers, [("retry-after", "41".to_owned())]);
        throttle.check(ip("1.2.3.5"), start + Duration::from_secs(20)).expect("another address");
        throttle.check(ip("1.2.3.4"), start + Duration::from_secs(60)).expect("open again");
        // The window slides: the tries of second 1 to 9 still count.
        let next = start + Duration::from_millis(60_500);
        throttle.count(ip("1.2.3.4"), "t10", next).expect("the one of second 0 is forgotten");
        throttle.check(ip("1.2.3.4"), start + Duration::from_millis(60_600)).expect_err("closed again");
    }

    #[test]
    fn a_token_that_comes_again_and_again_counts_once() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for second in 0..=600 {
            throttle.count(ip("1.2.3.4"), "revoked", start + Duration::from_secs(second)).expect("borne");
        }
        // Nine others beside it close the door.
        let now = start + Duration::from_secs(600);
        for nth in 0..9 {
            throttle.count(ip("1.2.3.4"), &format!("t{nth}"), now).expect("borne");
        }
        throttle.check(ip("1.2.3.4"), now).expect_err("closed");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for nth in 0..10 {
            throttle.count(ip(&format!("2001:db8::{nth}")), &format!("t{nth}"), now).expect("borne");
        }
        throttle.check(ip("2001:db8::ffff:1"), now).expect_err("closed");
        throttle.check(ip("2001:db8:0:1::1"), now).expect("another network");
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for nth in 0..5_000_u32 {
            let now = start + Duration::from_millis(nth.into());
            throttle.count(IpAddr::from(nth.to_be_bytes()), "t", now).expect("borne");
        }
        assert!(throttle.bad.lock().expect("lock").len() <= ADDRESSES_MAX);
    }
}
