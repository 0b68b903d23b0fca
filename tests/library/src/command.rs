//! A command of the caller's own.

use edgelatch::platform::redis::{Code, Redis, RedisError, RedisErrorKind, Repeat};
use edgelatch::spin_sdk::redis::{RedisParameter, RedisResult};

/// Sends a command with this key.
pub(crate) async fn answer(redis: Redis, command: &str, key: &str) -> String {
    let key = [RedisParameter::Binary(key.into())];
    match redis.command(command, &key, Repeat::Unsafe).await {
        Ok(reply) => reply.iter().map(in_words).collect::<Vec<_>>().join(" "),
        Err(error) => why(&error).to_owned(),
    }
}

fn in_words(result: &RedisResult) -> String {
    match result {
        RedisResult::Nil => "nil".to_owned(),
        RedisResult::Status(status) => status.clone(),
        RedisResult::Int64(number) => number.to_string(),
        RedisResult::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn why(error: &RedisError) -> &'static str {
    match error.kind() {
        RedisErrorKind::Unreachable => "unreachable",
        RedisErrorKind::TimedOut => "too slow",
        RedisErrorKind::Refused(Code::WrongType) => "another type",
        RedisErrorKind::Refused(_) => "refused",
        RedisErrorKind::Unexpected => "unexpected",
    }
}
