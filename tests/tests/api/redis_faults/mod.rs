//! Every failure of Redis, provoked on real servers: the right 503, in bounded time, and recovery
//! without a restart.

mod absent;
mod connections;
mod logins;
mod lost_answers;
mod nonsense;
mod refusals;
mod refused_commands;
mod replicas;
mod silence;
mod strangers;

use std::time::Duration;

use edgelatch_tests::{Answer, App, Call, until};
use futures::future::join_all;

const READYZ: &str = "/readyz";

/// What asks Redis and changes nothing for any user.
const READS: [(&str, &str); 4] = [
    ("GET", READYZ),
    ("GET", "/api/v1/users/7/lock"),
    ("GET", "/api/v1/users/7/locks/build"),
    ("GET", "/api/v1/users/7/cache/profile"),
];

/// What changes something in Redis.
const WRITES: [(&str, &str); 8] = [
    ("POST", "/api/v1/users/perform-action?user_id=7"),
    ("POST", "/api/v1/users/attempt-action?user_id=8"),
    ("POST", "/api/v1/users/9/lock"),
    ("PUT", "/api/v1/users/7/lock"),
    ("DELETE", "/api/v1/users/7/locks/build"),
    ("PUT", "/api/v1/users/7/cache/profile"),
    ("PATCH", "/api/v1/users/7/cache/profile"),
    ("DELETE", "/api/v1/users/7/cache/profile"),
];

/// How long one call to Redis may take unless a test says otherwise.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);

/// What a request may take besides.
const MARGIN: Duration = Duration::from_millis(500);

fn call(app: &App, method: &str, path: &str) -> Call {
    let call = app.call(method, path);
    if path.contains("/lock") && method != "POST" {
        call.header("lock-token", "a-token-of-my-own")
    } else if path.contains("/cache/") && method.starts_with('P') {
        call.body("{}")
    } else {
        call
    }
}

/// Asserts that this is the 503 of the contract.
#[track_caller]
fn assert_503(app: &App, answer: &Answer, slug: &str) {
    answer.assert_problem(503, slug);
    // With `--nocapture` these lines are the table of failures.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let ms = answer.took.as_millis();
    eprintln!("failure: {test} 503 {slug} {ms} ms");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let port = app.redis.port().to_string();
    assert!(!answer.text().contains(&port), "{}", answer.text());
    assert!(answer.took <= REDIS_TIMEOUT + MARGIN, "{:?}", answer.took);
}

/// Sends all of these at once and asserts that each fails as `slug`.
async fn assert_fails(app: &App, calls: &[(&str, &str)], slug: &str) {
    let asked: Vec<_> = calls.iter().filter(|(_, path)| *path != READYZ).collect();
    let answers = asked.iter().map(|(method, path)| call(app, method, path));
    let answers = join_all(answers.map(Call::into_future)).await;
    for (answer, (method, path)) in answers.iter().zip(asked) {
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.text());
        assert_503(app, answer, slug);
    }
}

/// Asserts that the service learns that it is not ready. It asks Redis once a second at most.
async fn assert_not_ready(app: &App, slug: &str) {
    until("it is not ready", || async {
        let answer = app.get(READYZ).await;
        let noticed = answer.status == 503;
        if noticed {
            assert_503(app, &answer, slug);
        }
        noticed
    })
    .await;
}

/// Asserts that everything that asks Redis fails as `slug`, and tells so twice, on an old and on a
/// new connection.
async fn assert_all_fail(app: &App, slug: &str) {
    let all = [&READS[..], &WRITES[..]].concat();
    assert_fails(app, &all, slug).await;
    assert_fails(app, &all, slug).await;
    assert_not_ready(app, slug).await;
    assert_eq!(app.get("/healthz").await.status, 200);
}

/// Waits until all of it works again. Each instance learns by a request that fails that its
/// connection is of no more use; a write to the cache is not repeated, so it may be that request.
async fn assert_recovers(app: &App) {
    until("it is ready again, and answers a whole round", || async {
        let asked = (0..48).map(|_| app.get("/readyz").into_future());
        let answers = join_all(asked).await;
        let ready = answers.iter().all(|answer| answer.status == 200);
        ready && first_failure(app).await.is_none()
    })
    .await;
    assert_acts(app).await;
}

/// Asserts that everything that asks Redis succeeds, or fails for reasons of its own.
async fn assert_works(app: &App) {
    assert_eq!(first_failure(app).await, None);
    assert_acts(app).await;
}

async fn assert_acts(app: &App) {
    let answer = app.perform("user_id=7&timeout=0").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
}

/// The first of the requests that ask Redis which is answered 5xx.
async fn first_failure(app: &App) -> Option<String> {
    for (method, path) in READS.iter().chain(&WRITES) {
        let answer = call(app, method, path).await;
        if answer.status >= 500 {
            return Some(format!("{method} {path}: {}", answer.text()));
        }
    }
    None
}

/// Asserts that none of these is in the log, once the last failure is in it.
async fn assert_unlogged(app: &App, secrets: &[&str]) {
    until("a failure is logged", || async {
        app.logs().contains(r#""status":503,"outcome":"redis-"#)
    })
    .await;
    for secret in secrets {
        assert!(!app.logs().contains(secret), "{secret:?} in {}", app.logs());
    }
}
