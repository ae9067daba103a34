//! Secrets and signatures, as Standard Webhooks has them: `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::UnixMs;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How few bytes and how many a secret has, by Standard Webhooks.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How long an earlier secret is signed with beside the new one, in milliseconds: a day in which receivers learn the new one.
const ROTATION_MS: i64 = 86_400_000;
/// Secrets that are signed with at once.
const KEYS_MAX: usize = 4;
/// What is said of a text that is no secret.
pub const SECRET_FORM: &str = "must be whsec_ and the base64 of 24 to 64 bytes, as of `openssl rand -base64 32`; \
    left out, the daemon makes one and shows it once";

/// A secret that a hook signs with. It is never shown but in the answer to the request that had it made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Reads `whsec_BASE64`, or the base64 alone; `None` where it is none.
    pub fn parse(text: &str) -> Option<Secret> {
        let base64 = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(base64).ok()?;
        BYTES.contains(&bytes.len()).then(|| Secret(format!("{PREFIX}{base64}")))
    }

    /// Of random bytes.
    pub fn of(bytes: &[u8; 32]) -> Secret {
        Secret(format!("{PREFIX}{}", STANDARD.encode(bytes)))
    }

    /// The secret, to be shown to who had it made, and stored.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn sign(&self, content: &[&[u8]]) -> String {
        let key = STANDARD.decode(self.0.strip_prefix(PREFIX).unwrap_or(&self.0)).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        content.iter().for_each(|part| mac.update(part));
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// A secret, and until when it is signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The secret.
    pub secret: Secret,
    /// Until when, in milliseconds since 1970; `None` for the one that is not on its way out.
    pub until_ms: Option<i64>,
}

/// A hook's keys when it gets this secret: the new one, then those before it, each for a day from when it was replaced.
pub fn rotated(keys: Vec<Key>, secret: Option<Secret>, now: UnixMs) -> Vec<Key> {
    let is_new = |secret: &Secret| !keys.iter().any(|key| key.until_ms.is_none() && key.secret == *secret);
    let Some(secret) = secret.filter(is_new) else { return keys };
    let mut all = vec![Key { secret, until_ms: None }];
    let until_ms = now.0.saturating_add(ROTATION_MS);
    let earlier = keys.into_iter().filter(|key| key.secret != all[0].secret && is_valid(key, now));
    let earlier: Vec<Key> =
        earlier.map(|key| Key { until_ms: Some(key.until_ms.unwrap_or(until_ms)), ..key }).collect();
    all.extend(earlier);
    all.truncate(KEYS_MAX);
    all
}

/// Whether it is signed with at a time. By a clock that was set back a key would live longer than a rotation.
pub(super) fn is_valid(key: &Key, now: UnixMs) -> bool {
    key.until_ms.is_none_or(|until_ms| until_ms > now.0 && until_ms <= now.0.saturating_add(ROTATION_MS))
}

/// `webhook-signature` of a body that is sent at this second since 1970: one for each key, a space between them.
pub fn signature(keys: &[Key], id: &str, at: UnixMs, body: &[u8]) -> String {
    let head = format!("{id}.{}.", at.0.div_euclid(1_000));
    let signed = keys.iter().filter(|key| is_valid(key, at)).map(|key| key.secret.sign(&[head.as_bytes(), body]));
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key { secret: Secret::parse(secret).expect(secret), until_ms: None }
    }

    #[test]
    fn a_body_is_signed_as_the_specification_shows() {
        // The example of Standard Webhooks' own libraries.
        let keys = [key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
        let signed =
            signature(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", UnixMs(1_614_265_330_000), br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(!format!("{keys:?}").contains("MfKQ"), "a secret is never shown");
    }

    #[test]
    fn a_secret_is_base64_of_enough_bytes() {
        assert!(Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_some(), "also without what it begins with");
        assert_eq!(Secret::parse(Secret::of(&[7; 32]).reveal()), Some(Secret::of(&[7; 32])));
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "a secret of mine", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!"] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_earlier_secret_signs_for_a_day_beside_the_new_one() {
        let secret = |byte| Secret::of(&[byte; 32]);
        let at = |hours: i64| UnixMs(hours * 3_600_000);
        let count = |keys: &[Key], hours| signature(keys, "id", at(hours), b"").split(' ').count();
        let first = rotated(Vec::new(), Some(secret(1)), at(0));
        assert_eq!((first.len(), count(&first, 100)), (1, 1));
        let second = rotated(first.clone(), Some(secret(2)), at(100));
        assert_eq!([count(&second, 100), count(&second, 123), count(&second, 125)], [2, 2, 1]);
        assert!(signature(&second, "id", at(125), b"") == signature(&[second[0].clone()], "id", at(125), b""));
        // The same once more changes nothing, nor does none.
        assert_eq!(rotated(second.clone(), Some(secret(2)), at(110)), second);
        assert_eq!(rotated(second.clone(), None, at(110)), second);
        // One that comes back is not on its way out any more, and there are never too many.
        let back = rotated(second, Some(secret(1)), at(110));
        assert_eq!((back[0].secret.clone(), back[0].until_ms, back.len()), (secret(1), None, 2));
        let many = (3..20).fold(back, |keys, byte| rotated(keys, Some(secret(byte)), at(111)));
        assert_eq!((many.len(), many[0].secret.clone()), (KEYS_MAX, secret(19)));
        assert_eq!(count(&many, 0), 1, "a clock that was set back lets no key live longer");
    }
}
