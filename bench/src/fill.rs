//! Cached values for many users, faster than over HTTP. We write one value through the peer. Then
//! Redis copies its keys, with another user's number in each.

use anyhow::{Context as _, bail};

use crate::client::Client;
use crate::plan::Bench;
use crate::server::Server;

/// A user id that is unmistakable in a key.
const MODEL: &str = "918273645546372819";

/// Users per script, so that Redis can answer others in between.
const AT_ONCE: u64 = 20_000;

/// Copies a key for the users `ARGV[3]` to `ARGV[4]`. `ARGV[1]` and `ARGV[2]` are the parts of the
/// key before and after the user id.
const COPY: &str = "
local value = redis.call('DUMP', KEYS[1])
local ttl = math.max(redis.call('PTTL', KEYS[1]), 0)
for user = tonumber(ARGV[3]), tonumber(ARGV[4]) do
  redis.call('RESTORE', ARGV[1] .. string.format('%d', user) .. ARGV[2], ttl, value, 'REPLACE')
end
return ARGV[4]";

/// Gives each user from 1 to `users` a cached value of `bytes` bytes, and deletes all other keys.
///
/// # Errors
/// If the peer rejects the value.
pub(crate) async fn fill(
    bench: &Bench,
    server: &Server,
    users: u64,
    bytes: usize,
) -> anyhow::Result<()> {
    bench.forget_keys().await;
    let value = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)));
    let mut client = Client::connect(server.address()).await?;
    let path = server.peer().path_to_put(MODEL);
    let answer = client.call_with("PUT", &path, &value).await?;
    if answer.status >= 300 {
        bail!("{} answered {} to a PUT", server.peer(), answer.status);
    }
    // Requests that an earlier load has aborted may still write keys of their own.
    let pattern = format!("*{MODEL}*");
    let keys: Vec<String> = bench.redis.run(&["KEYS", &pattern]).await;
    for key in &keys {
        copy(bench, key, users).await?;
    }
    Ok(())
}

async fn copy(bench: &Bench, key: &str, users: u64) -> anyhow::Result<()> {
    let (before, behind) = key.split_once(MODEL).context("the key names no user")?;
    let mut first = 1;
    while first <= users {
        let last = users.min(first + AT_ONCE - 1);
        let range = [first.to_string(), last.to_string()];
        let words = ["EVAL", COPY, "1", key, before, behind, &range[0], &range[1]];
        bench.redis.run::<String>(&words).await;
        first = last + 1;
    }
    Ok(())
}
