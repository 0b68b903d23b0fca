//! A cache entry: a number.
//!
//! | call | what it does |
//! |---|---|
//! | `get`, `set/{number}` | `get_as`, `set_as` |
//! | `compare-and-set/{current}/{number}` | `compare_and_set`, with the tag of what is there now |
//! | `set-twice/{number}/{number}/{number}` | `set_as`; then `compare_and_set` twice, with its tag |
//! | `left` | `get`: the whole seconds that the entry has left |
//! | `delete`, `delete-if/{current}` | `delete`, with the tag of what is there now |

use edgelatch::core::cache::{CacheEntry, CacheError, JsonCache, Stored};
use edgelatch::platform::redis::Redis;
use edgelatch::types::etag::{Conditions, ETag};
use edgelatch::types::keys::Keys;
use edgelatch::types::name::Name;
use edgelatch::types::ttl::Ttl;
use edgelatch::types::user_id::UserId;

const MINUTE: Ttl = Ttl::of_millis(60_000);

/// Makes a call and answers what it returned.
pub(crate) async fn answer(
    redis: Redis,
    keys: Keys,
    user: UserId,
    call: &[&str],
) -> Option<String> {
    let cache = JsonCache::new(redis, keys);
    let name = Name::parse("number")?;
    let returned = match call {
        ["get"] => cache
            .get_as::<u64>(user, &name)
            .await
            .map(|number| format!("{number:?}"))
            .map_err(CacheError::from),
        ["set", number] => {
            let number: u64 = number.parse().ok()?;
            let written = cache.set_as(user, &name, &number, MINUTE).await;
            written.map(|written| format!("{}", written.is_new))
        }
        ["compare-and-set", current, number] => {
            let stored = cache.get(user, &name).await.ok()?;
            let Ok(etag) = tag_of(&stored, current) else {
                return Some("another number".to_owned());
            };
            let written = cache.compare_and_set(user, &name, etag, number.as_bytes(), MINUTE);
            written.await.map(|written| format!("{written}"))
        }
        ["set-twice", number, others @ ..] => {
            let number: u64 = number.parse().ok()?;
            let written = cache.set_as(user, &name, &number, MINUTE).await.ok()?;
            let mut replaced = Vec::new();
            for other in others {
                let etag = Some(&written.etag);
                let set = cache.compare_and_set(user, &name, etag, other.as_bytes(), MINUTE);
                replaced.push(set.await.ok()?);
            }
            Ok(format!("{replaced:?}"))
        }
        ["left"] => match cache.get(user, &name).await.ok()? {
            Stored::Entry(CacheEntry { remaining, .. }) => {
                Ok(format!("{:?}", remaining.map(|left| left.as_secs())))
            }
            Stored::NotJson => Ok("no JSON".to_owned()),
            Stored::Nothing => Ok("nothing".to_owned()),
        },
        ["delete"] => {
            let removed = cache.delete(user, &name, &Conditions::NONE).await;
            removed.map(|removed| format!("{removed}"))
        }
        ["delete-if", current] => {
            let stored = cache.get(user, &name).await.ok()?;
            let Ok(etag) = tag_of(&stored, current) else {
                return Some("another number".to_owned());
            };
            let expected = Conditions::expecting(etag);
            let removed = cache.delete(user, &name, &expected).await;
            removed.map(|removed| format!("{removed}"))
        }
        _ => return None,
    };
    Some(returned.unwrap_or_else(|error| error.to_string()))
}

/// What stands for the number that is expected: the tag of what is there now. `None` where that has
/// none; an error where it is another number.
fn tag_of<'a>(stored: &'a Stored, current: &str) -> Result<Option<&'a ETag>, ()> {
    match stored {
        Stored::Entry(entry) if entry.json == current.as_bytes() => Ok(Some(&entry.etag)),
        Stored::Entry(_) => Err(()),
        Stored::NotJson | Stored::Nothing => Ok(None),
    }
}
