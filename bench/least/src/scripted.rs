//! An action with the service's own two scripts, called as the service does. The texts are put
//! together as in `attempt.rs` and `commit.rs` of `src/core/lock/`; if the service changes what it
//! passes, this fails with 409 or 423 until it does the same.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use crate::{EXPIRE_MS, Response, SUCCESS, response, text, token, unavailable};

macro_rules! lua {
    ($($file:literal),+) => {
        concat!($(include_str!(concat!("../../../src/core/lock/", $file, ".lua"))),+)
    };
}

const ACQUIRE: &str = lua!(
    "formats",
    "fence",
    "take_free",
    "holder",
    "queue",
    "give_back",
    "acquire"
);
const COMMIT: &str = concat!(
    lua!("formats", "fence", "holder", "queue", "give_back", "commit"),
    "return commit(4, 4)"
);

/// The service's defaults, in milliseconds.
const PROOF_TTL_MS: i64 = 2000;
const LAST_ACTION_TTL_MS: i64 = 3_600_000;

/// The service's, in all of its answers.
const SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The scripts' digests, from Redis.
pub(crate) struct Scripts {
    acquire: Vec<u8>,
    commit: Vec<u8>,
}

impl Scripts {
    /// Loads them into Redis.
    pub(crate) async fn load(redis: &Connection) -> Result<Self, StatusCode> {
        Ok(Self {
            acquire: load(redis, ACQUIRE).await?,
            commit: load(redis, COMMIT).await?,
        })
    }

    /// Two round trips: acquire, commit.
    pub(crate) async fn action(
        &self,
        redis: &Connection,
        user: &str,
    ) -> Result<Response, StatusCode> {
        let lock = format!("user:{user}:lock");
        let (fence, queue) = (format!("{{{lock}}}:fence"), format!("{{{lock}}}:queue"));
        let waiters = format!("{{{lock}}}:seen\n{{{lock}}}:wake:\n{{{lock}}}:ended:\n");
        let (token, call) = (token(), crate::token());
        let values = [
            RedisParameter::Binary(self.acquire.clone()),
            RedisParameter::Int64(4),
            text(&lock),
            text(&fence),
            text(&queue),
            text(&format!("{{{lock}}}:cancelled:{call}")),
            text(&token),
            RedisParameter::Int64(EXPIRE_MS),
            text(&call),
            text(&format!("{waiters}wait")),
        ];
        let acquired = redis.execute("EVALSHA", values).await;
        let number = match acquired.map_err(unavailable)?.as_slice() {
            [RedisResult::Int64(1), RedisResult::Int64(number)] => *number,
            _ => return Err(StatusCode::LOCKED),
        };
        // As long as the service's value: a line with format, tag and time to live, then the JSON.
        let last_action = format!(
            "edgelatch1 {} 0003600000\n{}",
            crate::token(),
            format_args!(
                r#"{{"status":"success","fencing_token":{number},"finished_at":"2026-01-01T00:00:00.000Z"}}"#
            )
        );
        let values = [
            RedisParameter::Binary(self.commit.clone()),
            RedisParameter::Int64(4),
            text(&lock),
            text(&fence),
            text(&queue),
            text(&format!("{{{lock}}}:cache:last-action")),
            text(&token),
            RedisParameter::Int64(number),
            text(&format!("{waiters}{PROOF_TTL_MS}")),
            text(&last_action),
            RedisParameter::Int64(LAST_ACTION_TTL_MS),
        ];
        let committed = redis.execute("EVALSHA", values).await;
        match committed.map_err(unavailable)?.as_slice() {
            [RedisResult::Int64(1)] => Ok(success(number)),
            _ => Err(StatusCode::CONFLICT),
        }
    }
}

fn success(number: i64) -> Response {
    let mut response = response(StatusCode::OK, Bytes::from_static(SUCCESS));
    let timing = "redis;dur=0.412, wait;dur=0.234, action;dur=0.000";
    let id = HeaderValue::try_from(token()).ok();
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("fencing-token"),
        HeaderValue::from(number),
    );
    headers.insert(
        HeaderName::from_static("lock-wait"),
        HeaderValue::from_static("0"),
    );
    for (name, value) in [
        ("server-timing", timing),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", SECURITY_POLICY),
        ("cache-control", "no-store"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers.extend(id.map(|id| (HeaderName::from_static("x-request-id"), id)));
    response
}

async fn load(redis: &Connection, script: &str) -> Result<Vec<u8>, StatusCode> {
    let loaded = redis.execute("SCRIPT", [text("LOAD"), text(script)]).await;
    match loaded.map_err(unavailable)?.as_slice() {
        [RedisResult::Binary(digest)] => Ok(digest.clone()),
        _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
