//! Something that answers where Redis should be, but is none.

use std::time::Duration;

use edgelatch_tests::{App, Behaviour, FakeRedis, RedisServer};

use super::{MARGIN, READS, REDIS_TIMEOUT, WRITES, assert_fails, assert_recovers, call};

/// The service with this in the place of Redis.
async fn behind(behaviour: Behaviour, redis_timeout: &str) -> (App, FakeRedis) {
    let redis = RedisServer::start().await;
    let fake = FakeRedis::start(behaviour).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &fake.port().to_string())
        .var("redis_timeout", redis_timeout)
        .start()
        .await;
    (app, fake)
}

/// Asserts that everything fails as `slug` while this is there, and works once Redis is.
async fn assert_fails_behind(behaviour: Behaviour, slug: &str) {
    let (app, fake) = behind(behaviour, "1").await;
    let all = [&READS[..], &WRITES[..]].concat();
    assert_fails(&app, &all, slug).await;
    fake.behave(Behaviour::Forward(app.redis.port()));
    assert_recovers(&app).await;
}

#[tokio::test]
async fn it_accepts_and_never_answers() {
    assert_fails_behind(Behaviour::Silent, "redis-timeout").await;
}

#[tokio::test]
async fn it_closes_at_once() {
    assert_fails_behind(Behaviour::Close, "redis-unavailable").await;
}

#[tokio::test]
async fn it_closes_half_way_through_an_answer() {
    let half = b"$100\r\nabc".to_vec();
    assert_fails_behind(Behaviour::AnswerAndClose(half), "redis-unavailable").await;
}

#[tokio::test]
async fn it_stops_half_way_through_an_answer() {
    assert_fails_behind(Behaviour::Answer(b"$100\r\nabc".to_vec()), "redis-timeout").await;
}

#[tokio::test]
async fn it_answers_garbage() {
    let garbage = b"?!\0\xff\r\n\r\n".to_vec();
    assert_fails_behind(Behaviour::Answer(garbage), "redis-unavailable").await;
}

/// Answers that are RESP, but none that any command of this service has: a 503 in time, whichever.
#[tokio::test]
async fn it_answers_what_makes_no_sense() {
    let deep = "*1\r\n".repeat(20_000).into_bytes();
    let long = [b"+", &b"x".repeat(1 << 20)[..], b"\r\n"].concat();
    let (app, fake) = behind(Behaviour::Silent, "0.2").await;
    for bytes in [
        b"+PONG\r\n".to_vec(),
        b":92233720368547758070\r\n".to_vec(),
        b"$-1\r\n".to_vec(),
        b"$-7\r\n".to_vec(),
        b"$99999999999999\r\nx".to_vec(),
        b"*-1\r\n".to_vec(),
        b"*3\r\n:1\r\n:2\r\n:3\r\n".to_vec(),
        b"*2\r\n:1\r\n$1\r\nx\r\n".to_vec(),
        b"*2\r\n$1\r\nx\r\n:1\r\n".to_vec(),
        b"*999999999\r\n".to_vec(),
        b"%1\r\n+a\r\n+b\r\n".to_vec(),
        b",1.5\r\n".to_vec(),
        b">2\r\n+a\r\n+b\r\n".to_vec(),
        b"-\r\n".to_vec(),
        b"-NONSENSE\r\n".to_vec(),
        b"-ERR \xff\xfe\r\n".to_vec(),
        b"-NOSCRIPT No matching script.\r\n".to_vec(),
        b"-MOVED 1 10.9.8.7:6379\r\n".to_vec(),
        b"-ASK 1 10.9.8.7:6379\r\n".to_vec(),
        deep,
        long,
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        fake.behave(Behaviour::Answer(bytes));
        for (method, path) in [READS[1], WRITES[0], WRITES[3], WRITES[5]] {
            let answer = call(&app, method, path).await;
            assert!(
                answer.took <= REDIS_TIMEOUT + MARGIN,
                "{shown:?} {answer:?}"
            );
            assert_eq!(
                answer.status,
                503,
                "{shown:?} made {path} {}",
                answer.text()
            );
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert!(!answer.text().contains("10.9.8.7"), "{}", answer.text());
        }
    }
    // In a cluster this says that the slot is being moved: who waits for a lock goes on waiting.
    fake.behave(Behaviour::Answer(b"-TRYAGAIN later\r\n".to_vec()));
    let waits = "/api/v1/users/perform-action?user_id=7&timeout=0.3";
    for (method, path, wait) in [
        (READS[1].0, READS[1].1, 0),
        (WRITES[5].0, WRITES[5].1, 0),
        ("POST", waits, 300),
    ] {
        let answer = call(&app, method, path).await;
        let limit = Duration::from_millis(wait) + REDIS_TIMEOUT + MARGIN;
        assert!(answer.took <= limit, "{answer:?}");
        answer.assert_problem(503, "redis-unavailable");
    }
    fake.behave(Behaviour::Forward(app.redis.port()));
    assert_recovers(&app).await;
    assert!(!app.logs().contains("panicked"), "{}", app.logs());
    assert!(!app.logs().contains("wasm trap"), "{}", app.logs());
}

#[tokio::test]
async fn it_answers_an_error_in_many_words() {
    let words = format!("-ERR {}\r\n", "secret-10.9.8.7 ".repeat(1000));
    let (app, fake) = behind(Behaviour::Answer(words.into_bytes()), "1").await;
    let answer = app.perform("user_id=7").await;
    answer.assert_problem(503, "redis-unavailable");
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    fake.behave(Behaviour::Forward(app.redis.port()));
    assert_recovers(&app).await;
}
