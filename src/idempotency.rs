//! `Idempotency-Key`: the first success of a request is kept and replayed, without doing anything again
//! (the IETF's draft-ietf-httpapi-idempotency-key-header, and what Stripe does).
//!
//! Only what identifies a request and its answer is decided here; keeping it is a second record of the lock's commit, and looking
//! for it is part of the lock's acquisition, so that neither can come apart from the action.

use http::{HeaderMap, HeaderName};
use sha1_smol::Sha1;

use crate::keys::{Keys, UserId};
use crate::problem::Problem;
use crate::redis_error::RedisError;
use crate::seconds::Ttl;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 255;

/// One idempotent request.
pub(crate) struct Idempotency {
    /// Where its answer is kept.
    pub(crate) redis_key: String,
    /// What must be the same for it to be the same request.
    fingerprint: String,
}

/// An answer that was kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) fencing_token: i64,
    pub(crate) body: Vec<u8>,
}

/// The caller's key, if there is one.
///
/// # Errors
/// 400 where it is there more than once, or is not 1 to 255 visible ASCII characters.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if is_key(value.as_bytes()) => Ok(Some(value.as_bytes())),
        _ => Err(Problem::idempotency_key_invalid()),
    }
}

fn is_key(bytes: &[u8]) -> bool {
    (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

impl Idempotency {
    /// The request of `user` for `action` under `key`: the same one if its body has the same bytes and its lock the same time to
    /// live. How long it waits does not count.
    pub(crate) fn new(
        keys: &Keys,
        user: UserId,
        action: &str,
        key: &[u8],
        body: &[u8],
        expire: Ttl,
    ) -> Self {
        let hash = digest(&[action.as_bytes(), key]);
        let expire = expire.as_millis().to_string();
        Self {
            redis_key: keys.idempotent(user, &hash),
            fingerprint: digest(&[expire.as_bytes(), body]),
        }
    }

    /// What is kept of a success: `fingerprint fencing-token`, a line break, the body.
    pub(crate) fn record(&self, kept: &Kept) -> Vec<u8> {
        let mut record = format!("{} {}\n", self.fingerprint, kept.fencing_token).into_bytes();
        record.extend_from_slice(&kept.body);
        record
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// 422 where it belongs to another request; 503 where it is nothing that [`Idempotency::record`] wrote.
    pub(crate) fn read(&self, record: &[u8]) -> Result<Kept, Problem> {
        let parts = || {
            let end = record.iter().position(|byte| *byte == b'\n')?;
            let head = std::str::from_utf8(&record[..end]).ok()?;
            let (fingerprint, number) = head.split_once(' ')?;
            Some((fingerprint, number.parse().ok()?, &record[end + 1..]))
        };
        let Some((fingerprint, fencing_token, body)) = parts() else {
            return Err(RedisError::unexpected("not a kept answer").into());
        };
        if fingerprint != self.fingerprint {
            return Err(Problem::idempotency_key_reused());
        }
        Ok(Kept {
            fencing_token,
            body: body.to_vec(),
        })
    }
}

/// The SHA-1 of parts, each with a line break after it: none of the first parts can hold one.
fn digest(parts: &[&[u8]]) -> String {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
        sha1.update(b"\n");
    }
    sha1.digest().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn request(action: &str, key: &str, body: &[u8], ms: u64) -> Idempotency {
        let (keys, user) = (Keys::new(""), UserId::new(1));
        let expire = Ttl::of_millis(ms);
        Idempotency::new(&keys, user, action, key.as_bytes(), body, expire)
    }

    fn kept() -> Kept {
        Kept {
            fencing_token: 7,
            body: b"{\"status\":\"success\"}".to_vec(),
        }
    }

    #[test]
    fn keys_are_visible_ascii_and_single() {
        let header = |value: &str| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
            headers.append(IDEMPOTENCY_KEY, value);
            Some(headers)
        };
        assert!(header("k").is_some_and(|headers| key(&headers).is_ok()));
        assert!(header(&"k".repeat(255)).is_some_and(|headers| key(&headers).is_ok()));
        for bad in ["", "a b", "\u{e9}", &"k".repeat(256)] {
            assert!(
                header(bad).is_some_and(|headers| key(&headers).is_err()),
                "{bad:?}"
            );
        }
        let mut twice = header("a").unwrap_or_default();
        twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(key(&twice).is_err());
        assert!(matches!(key(&HeaderMap::new()), Ok(None)));
    }

    #[test]
    fn another_body_or_expire_is_another_request() {
        let first = request("perform-action", "k", b"{}", 10_000);
        let record = first.record(&kept());
        assert_eq!(first.read(&record).ok(), Some(kept()));
        for other in [
            request("perform-action", "k", b"{ }", 10_000),
            request("perform-action", "k", b"{}", 10_001),
        ] {
            assert_eq!(other.redis_key, first.redis_key);
            assert_eq!(
                other.read(&record).err().map(|p| p.slug),
                Some("idempotency-key-reused")
            );
        }
        assert_ne!(
            request("attempt-action", "k", b"{}", 10_000).redis_key,
            first.redis_key
        );
        assert_ne!(
            request("perform-action", "l", b"{}", 10_000).redis_key,
            first.redis_key
        );
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_again(number in 1i64.., body in prop::collection::vec(any::<u8>(), 0..60)) {
            let request = request("perform-action", "k", b"", 1);
            let kept = Kept { fencing_token: number, body };
            prop_assert_eq!(request.read(&request.record(&kept)).ok(), Some(kept));
        }

        #[test]
        fn no_record_makes_it_panic(record in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = request("perform-action", "k", b"", 1).read(&record);
        }
    }
}
