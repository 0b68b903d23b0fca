//! A cache entry: a number, `null` where there is none.

use edgelatch::core::cache::{CacheError, JsonCache, Stored};
use edgelatch::platform::redis::Redis;
use edgelatch::types::etag::Conditions;
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
            // The tag that is there now is what stands for the number that is expected.
            let stored = cache.get(user, &name).await.ok()?;
            let etag = match &stored {
                Stored::Entry(entry) if entry.json == current.as_bytes() => Some(&entry.etag),
                Stored::Entry(_) => return Some("another number".to_owned()),
                Stored::NotJson | Stored::Nothing => None,
            };
            let written = cache.compare_and_set(user, &name, etag, number.as_bytes(), MINUTE);
            written.await.map(|written| format!("{written}"))
        }
        ["delete"] => {
            let removed = cache.delete(user, &name, &Conditions::NONE).await;
            removed.map(|removed| format!("{removed}"))
        }
        _ => return None,
    };
    Some(returned.unwrap_or_else(|error| error.to_string()))
}
