//! What other programs leave under an entry's key.

use edgelatch_tests::{App, Call, until};

use super::{ENTRY, KEY, merge, tag_of};

/// What is no JSON value: a command that stores it under the key.
const STRANGE: [&[&str]; 7] = [
    &["SET", KEY, "not json"],
    &["SET", KEY, ""],
    &["SET", KEY, "{\"a\":1}}"],
    &["RPUSH", KEY, "1"],
    &["HSET", KEY, "a", "1"],
    &["SADD", KEY, "1"],
    &["ZADD", KEY, "1", "a"],
];

async fn leave(app: &App, words: &[&str]) {
    app.redis.run::<i64>(&["DEL", KEY]).await;
    app.redis.run::<redis::Value>(words).await;
}

#[tokio::test]
async fn what_is_not_json_is_a_miss_and_logged_once() {
    // Where callers need no token, few failures are logged.
    let token = "a-token-of-the-callers";
    let app = App::builder().patient().var("api_token", token);
    let app = app.start().await;
    let authorized = |call: Call| call.header("authorization", &format!("Bearer {token}"));
    for (index, words) in STRANGE.into_iter().enumerate() {
        leave(&app, words).await;
        let calls = [app.get(ENTRY), merge(&app, ENTRY, r#"{"a":1}"#)];
        for (verb, call) in ["get", "patch"].into_iter().zip(calls) {
            let id = format!("{verb}-{index}");
            let answer = authorized(call).header("x-request-id", &id).await;
            answer.assert_problem(404, "not-found");
            let lines = |text: &str| text.lines().filter(|line| line.contains(&id)).count();
            until("it is logged", || async { lines(&app.logs()) > 0 }).await;
            assert_eq!(lines(&app.logs()), 1, "{}", app.logs());
        }
        // A value is nobody's business, even one that is not JSON.
        assert!(!app.logs().contains("not json"));
        let head = authorized(app.call("HEAD", ENTRY)).await;
        assert_eq!(head.status, 404);
    }
    // An ordinary miss is nothing to log.
    app.redis.run::<i64>(&["DEL", KEY]).await;
    let absent = authorized(app.get(ENTRY));
    let absent = absent.header("x-request-id", "absent").await;
    absent.assert_problem(404, "not-found");
    assert!(!app.logs().contains("absent"));
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_a_miss() {
    let app = App::patient().await;
    let script = r#"return redis.call('SET', KEYS[1], '"\255"')"#;
    app.redis.run::<String>(&["EVAL", script, "1", KEY]).await;
    app.get(ENTRY).await.assert_problem(404, "not-found");
}

#[tokio::test]
async fn it_is_replaced_by_put_and_removed_by_delete() {
    let app = App::patient().await;
    for words in STRANGE {
        leave(&app, words).await;
        app.put(ENTRY).json("1").await.assert_body(200, "");
        app.get(ENTRY).await.assert_body(200, "1");
        assert!(app.redis.ms_left(KEY).await > 0);
        leave(&app, words).await;
        app.delete(ENTRY).await.assert_body(204, "");
        assert!(!app.redis.exists(KEY).await);
    }
}

#[tokio::test]
async fn conditions_take_it_for_something_that_is_there() {
    let app = App::patient().await;
    let tag = tag_of(&app.put(ENTRY).json("1").await);
    for words in STRANGE {
        for (name, condition) in [("if-none-match", "*"), ("if-match", tag.as_str())] {
            leave(&app, words).await;
            app.put(ENTRY)
                .header(name, condition)
                .json("1")
                .await
                .assert_problem(412, "precondition-failed");
        }
        app.put(ENTRY)
            .header("if-match", "*")
            .json("1")
            .await
            .assert_body(200, "");
    }
}

/// How many scripts Redis has run.
async fn scripts(app: &App) -> usize {
    let stats: String = app.redis.run(&["INFO", "commandstats"]).await;
    let calls = |line: &str| {
        let (_, calls) = line.strip_prefix("cmdstat_eval")?.split_once("calls=")?;
        calls.split_once(',')?.0.parse::<usize>().ok()
    };
    stats.lines().filter_map(calls).sum()
}

#[tokio::test]
async fn a_long_value_is_read_without_a_script() {
    let app = App::patient().await;
    let long = format!("[\"{}\"]", "a".repeat(2_000_000));
    app.redis.run::<()>(&["SET", KEY, &long]).await;
    // An instance that read something short before asks by a script first, which tells that this is
    // long.
    app.get(ENTRY).await.assert_body(200, &long);
    let before = scripts(&app).await;
    let endless = app.get(ENTRY).await;
    endless.assert_body(200, &long);
    assert_eq!(endless.header("cache-control"), Some("private"));
    app.redis.run::<i64>(&["PEXPIRE", KEY, "100500"]).await;
    let ending = app.get(ENTRY).await;
    ending.assert_body(200, &long);
    let max_age = ending.header("cache-control").unwrap();
    assert!(max_age.starts_with("private, max-age="), "{max_age}");
    assert_ne!(max_age, "private, max-age=101");
    assert_eq!(scripts(&app).await, before);
    let tag = tag_of(&ending);
    app.put(ENTRY)
        .header("if-match", &tag)
        .json("1")
        .await
        .assert_body(200, "");
}
