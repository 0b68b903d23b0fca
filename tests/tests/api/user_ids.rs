//! `user_ids`: what names a user. `integer` is what all other tests use.

use edgelatch_tests::{Answer, App, Origin, Reply, until};
use serde_json::Value;

const LOWER: &str = "0190a5b8-7c3d-7e4f-8a9b-0c1d2e3f4a5b";
const UPPER: &str = "0190A5B8-7C3D-7E4F-8A9B-0C1D2E3F4A5B";

async fn app(user_ids: &str) -> App {
    App::builder().var("user_ids", user_ids).start().await
}

async fn keys(app: &App, pattern: &str) -> Vec<String> {
    app.redis.run(&["KEYS", pattern]).await
}

/// Asserts that the one fault of a request is its user.
fn assert_refused(answer: &Answer, place: &str, r#type: &str) {
    assert_eq!(answer.status, 422, "{answer:?}");
    let errors = &answer.json()["errors"];
    assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
    assert_eq!(errors[0]["loc"], serde_json::json!([place, "user_id"]));
    assert_eq!(errors[0]["type"], r#type, "{errors}");
}

#[tokio::test]
async fn two_spellings_of_a_uuid_are_one_user() {
    let app = app("uuid").await;
    let path = |user: &str| format!("/api/v1/users/{user}/lock?expire=60");
    assert_eq!(app.post(&path(UPPER)).await.status, 201);
    assert_eq!(app.post(&path(LOWER)).await.status, 423);
    assert_eq!(
        app.attempt(&format!("user_id={UPPER}")).await.json()["status"],
        "failed"
    );
    let encoded = LOWER.replace('-', "%2D");
    let state = app.get(&format!("/api/v1/users/{encoded}/lock")).await;
    assert_eq!(state.json()["held"], true);
    let keys = keys(&app, "*:lock").await;
    assert_eq!(keys, [format!("user:{LOWER}:lock")]);
}

#[tokio::test]
async fn any_version_of_a_uuid_is_a_user() {
    let app = app("uuid").await;
    for user in [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "919108f7-52d1-4320-9bac-f847db4148a8",
    ] {
        app.perform(&format!("user_id={user}"))
            .await
            .assert_success();
    }
}

#[tokio::test]
async fn what_is_no_uuid_in_its_usual_form_is_refused() {
    let app = app("uuid").await;
    let plain = LOWER.replace('-', "");
    let braces = format!("%7B{LOWER}%7D");
    let urn = format!("urn:uuid:{LOWER}");
    let moved = format!("{}-{}", &plain[..9], &plain[9..]);
    let shifted = LOWER.replacen("0190a5b8-7", "0190a5b-87", 1);
    for user in [
        "42",
        "-7",
        "ada",
        "%20",
        &plain,
        &braces,
        &urn,
        &moved,
        &shifted,
        &LOWER[1..],
        &format!("{LOWER}0"),
        &LOWER.replace('a', "g"),
        &format!("%20{LOWER}"),
    ] {
        let answer = app.perform(&format!("user_id={user}")).await;
        assert_refused(&answer, "query", "uuid_parsing");
        let answer = app.get(&format!("/api/v1/users/{user}/lock")).await;
        assert_refused(&answer, "path", "uuid_parsing");
        let answer = app.get(&format!("/api/v1/users/{user}/cache/k")).await;
        assert_refused(&answer, "path", "uuid_parsing");
    }
    let answer = app.get("/api/v1/users/42/lock").await;
    let msg = &answer.json()["errors"][0]["msg"];
    let msg = msg.as_str().unwrap();
    assert!(msg.starts_with("Input should be a valid UUID"), "{msg}");
    let missing = app.perform("").await;
    assert_refused(&missing, "query", "missing");
}

#[tokio::test]
async fn a_name_is_a_user() {
    let app = app("name").await;
    let longest = "n".repeat(64);
    for user in [
        "ada",
        "Ada",
        "42",
        "007",
        "-",
        "...",
        "a~b_c.d-e",
        &longest,
        LOWER,
    ] {
        app.perform(&format!("user_id={user}"))
            .await
            .assert_success();
        let lock = format!("/api/v1/users/{user}/lock");
        assert_eq!(app.post(&lock).await.status, 201, "{user}");
        assert_eq!(
            app.attempt(&format!("user_id={user}")).await.json()["status"],
            "failed"
        );
        let entry = format!("/api/v1/users/{user}/cache/k");
        assert_eq!(app.put(&entry).json("1").await.status, 201, "{user}");
        let key = format!("{{user:{user}:lock}}:cache:k");
        assert_eq!(app.redis.entry(&key).await.as_deref(), Some("1"));
    }
    // After percent-decoding.
    let encoded = app.get("/api/v1/users/%61da/cache/k").await;
    assert_eq!(encoded.status, 200);
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let app = app("name").await;
    let long = "n".repeat(65);
    for user in [
        "a:b", "7:lock", "a%2Fb", "a%20b", "%C3%A9", "a%7Bb", "a%2561", &long,
    ] {
        let answer = app.perform(&format!("user_id={user}")).await;
        assert_refused(&answer, "query", "string_pattern_mismatch");
        let answer = app.get(&format!("/api/v1/users/{user}/lock")).await;
        assert_refused(&answer, "path", "string_pattern_mismatch");
    }
    for user in ["", ".", "..", "perform-action", "attempt-action"] {
        let answer = app.perform(&format!("user_id={user}")).await;
        assert_refused(&answer, "query", "string_pattern_mismatch");
    }
    for user in ["perform-action", "attempt-action"] {
        let answer = app.get(&format!("/api/v1/users/{user}")).await;
        assert_eq!(answer.status, 405, "{answer:?}");
        let answer = app.get(&format!("/api/v1/users/{user}/lock")).await;
        assert_refused(&answer, "path", "string_pattern_mismatch");
    }
}

#[tokio::test]
async fn no_users_key_is_anothers_named_lock() {
    let app = app("name").await;
    // With a colon, `ada:lock` would be the user whose lock is this named one.
    let named = app
        .post("/api/v1/users/ada/locks/lock:lock?expire=60")
        .await;
    assert_eq!(named.status, 201);
    assert_eq!(
        app.post("/api/v1/users/ada:lock:lock/lock").await.status,
        422
    );
    assert_eq!(
        app.get("/api/v1/users/ada/lock").await.json()["held"],
        false
    );
}

#[tokio::test]
async fn the_origin_is_told_the_user() {
    let origin = Origin::start(Reply::json("1")).await;
    for (user_ids, asked, told) in [("uuid", UPPER, LOWER), ("name", "a~b_c.D-e", "a~b_c.D-e")] {
        let app = App::builder().origin(&origin).var("user_ids", user_ids);
        let app = app.start().await;
        app.perform(&format!("user_id={asked}"))
            .await
            .assert_success();
        let seen = origin.seen().pop().unwrap();
        assert_eq!(seen.path, format!("/users/{told}/perform-action"));
        assert_eq!(seen.header("x-user-id"), Some(told));
        let read = app.get(&format!("/api/v1/users/{asked}")).await;
        read.assert_body(200, "1");
        let seen = origin.seen().pop().unwrap();
        assert_eq!(seen.path, format!("/users/{told}"));
        assert_eq!(seen.header("x-user-id"), Some(told));
    }
}

#[tokio::test]
async fn a_user_is_one_hash_in_the_log_however_it_is_spelt() {
    let app = App::builder()
        .var("user_ids", "uuid")
        .var("log_requests", "true")
        .var("log_key", "zq-key");
    let app = app.start().await;
    let hash = async |id: &str, path: &str| {
        app.get(path).header("x-request-id", id).await;
        let line = || {
            let logs = app.logs();
            let line = logs.lines().find(|line| line.contains(id))?;
            serde_json::from_str::<Value>(line).ok()
        };
        until("it is logged", || async { line().is_some() }).await;
        line().unwrap()["user"].as_str().unwrap().to_owned()
    };
    let lower = hash("id-1", &format!("/api/v1/users/{LOWER}/lock")).await;
    let upper = hash("id-2", &format!("/api/v1/users/{UPPER}/lock")).await;
    assert_eq!(lower, upper);
}

#[tokio::test]
async fn an_integer_has_fastapis_errors() {
    let app = app("integer").await;
    for user in ["ada", LOWER, "007", "+7", "9223372036854775808"] {
        let answer = app.get(&format!("/api/v1/users/{user}/lock")).await;
        assert_refused(&answer, "path", "int_parsing");
    }
}
