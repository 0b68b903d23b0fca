//! Idempotent requests: the first success is kept and replayed, without doing anything again
//! (draft-ietf-httpapi-idempotency-key-header, and what Stripe does).
//!
//! This file owns what identifies a request and how its answer is stored. The answer is stored by
//! the lock's commit and looked for by the lock's acquisition, so neither can come apart from the
//! action.

use crate::types::digest::sha1_hex_of_lines;
use crate::types::error_code::ErrorCode;
use crate::types::keys::Keys;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;

/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 255;

/// A caller's key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(Vec<u8>);

impl IdempotencyKey {
    /// Reads a key. `None` where it breaks the rule above.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(bytes.to_vec()))
    }

    /// The key as it was sent.
    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One idempotent request.
pub(crate) struct Idempotency {
    /// The Redis key of its answer.
    pub(crate) redis_key: String,
    /// What must be the same for it to be the same request.
    fingerprint: String,
}

/// An answer that was stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredAnswer {
    /// The fencing token that the action ran under.
    pub(crate) fencing_token: i64,
    /// The body of the answer.
    pub(crate) body: Vec<u8>,
}

/// Why a stored answer is none for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayError {
    /// It belongs to another request.
    OtherRequest,
    /// [`Idempotency::write`] did not write it.
    Malformed,
}

impl ErrorCode for ReplayError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherRequest => "idempotency-key-reused",
            Self::Malformed => "redis-unavailable",
        }
    }
}

impl Idempotency {
    /// The request of `user` for `action` under `key`: the same one if its body has the same bytes
    /// and its lock the same time to live. How long it waits does not count.
    pub(crate) fn new(
        keys: &Keys,
        user: UserId,
        action: &str,
        key: &IdempotencyKey,
        body: &[u8],
        expire: Ttl,
    ) -> Self {
        let hash = sha1_hex_of_lines(&[action.as_bytes(), &key.0]);
        let expire = expire.as_millis().to_string();
        Self {
            redis_key: keys.idempotent(user, &hash),
            fingerprint: sha1_hex_of_lines(&[expire.as_bytes(), body]),
        }
    }

    /// How a success is stored: `fingerprint fencing-token`, a line break, the body.
    pub(crate) fn write(&self, answer: &StoredAnswer) -> Vec<u8> {
        let mut stored = format!("{} {}\n", self.fingerprint, answer.fencing_token).into_bytes();
        stored.extend_from_slice(&answer.body);
        stored
    }

    /// Reads a stored answer.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub(crate) fn read(&self, stored: &[u8]) -> Result<StoredAnswer, ReplayError> {
        let parts = || {
            let end = stored.iter().position(|byte| *byte == b'\n')?;
            let head = std::str::from_utf8(&stored[..end]).ok()?;
            let (fingerprint, number) = head.split_once(' ')?;
            Some((fingerprint, number.parse().ok()?, &stored[end + 1..]))
        };
        let (fingerprint, fencing_token, body) = parts().ok_or(ReplayError::Malformed)?;
        if fingerprint != self.fingerprint {
            return Err(ReplayError::OtherRequest);
        }
        Ok(StoredAnswer {
            fencing_token,
            body: body.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(action: &str, key: &str, body: &[u8], ms: u64) -> Idempotency {
        let (keys, user) = (Keys::new(""), UserId::new(1));
        let expire = Ttl::of_millis(ms);
        let key = IdempotencyKey(key.as_bytes().to_vec());
        Idempotency::new(&keys, user, action, &key, body, expire)
    }

    fn answer() -> StoredAnswer {
        StoredAnswer {
            fencing_token: 7,
            body: b"{\"status\":\"success\"}".to_vec(),
        }
    }

    #[test]
    fn keys_are_visible_ascii() {
        assert!(IdempotencyKey::parse(b"k").is_some());
        assert!(IdempotencyKey::parse(&[b'k'; 255]).is_some());
        for bad in ["", "a b", "\u{e9}", &"k".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn another_body_or_expire_is_another_request() {
        let first = request("perform-action", "k", b"{}", 10_000);
        let stored = first.write(&answer());
        assert_eq!(first.read(&stored), Ok(answer()));
        for other in [
            request("perform-action", "k", b"{ }", 10_000),
            request("perform-action", "k", b"{}", 10_001),
        ] {
            assert_eq!(other.redis_key, first.redis_key);
            assert_eq!(other.read(&stored), Err(ReplayError::OtherRequest));
        }
        let other_action = request("attempt-action", "k", b"{}", 10_000);
        assert_ne!(other_action.redis_key, first.redis_key);
        let other_key = request("perform-action", "l", b"{}", 10_000);
        assert_ne!(other_key.redis_key, first.redis_key);
    }

    proptest! {
        #[test]
        fn a_stored_answer_is_read_again(
            number in 1i64..,
            body in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let request = request("perform-action", "k", b"", 1);
            let answer = StoredAnswer { fencing_token: number, body };
            prop_assert_eq!(request.read(&request.write(&answer)), Ok(answer));
        }

        #[test]
        fn no_stored_bytes_make_it_panic(stored in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = request("perform-action", "k", b"", 1).read(&stored);
        }
    }
}
