//! Conditions are atomic: however many write at once, no write is lost.

use std::time::Duration;

use edgelatch_tests::{App, within};
use futures::future::join_all;

use super::{ENTRY, KEY, merge, store, tag_of};

#[tokio::test]
async fn counters_that_are_put_if_unchanged_lose_no_increment() {
    const CLIENTS: usize = 8;
    const EACH: usize = 5;
    let app = App::patient().await;
    store(&app, "0").await;
    let client = async || {
        let mut done = 0;
        while done < EACH {
            let before = app.get(ENTRY).await;
            let next = before.json().as_u64().unwrap() + 1;
            let put = app
                .put(ENTRY)
                .header("if-match", &tag_of(&before))
                .json(&next.to_string())
                .await;
            if put.status == 200 {
                done += 1;
            } else {
                put.assert_problem(412, "precondition-failed");
            }
        }
    };
    // At every moment one of them can go on, so they come to an end.
    let clients = join_all((0..CLIENTS).map(|_| client()));
    within(Duration::from_secs(60), clients).await;
    let total = (CLIENTS * EACH).to_string();
    app.get(ENTRY).await.assert_body(200, &total);
}

#[tokio::test]
async fn of_many_that_put_if_absent_exactly_one_creates() {
    let app = App::patient().await;
    let clients = 0..32;
    let puts = clients.map(|client| {
        app.put(ENTRY)
            .header("if-none-match", "*")
            .json(&client.to_string())
            .spawn()
    });
    let mut winners = Vec::new();
    for (client, answer) in join_all(puts).await.into_iter().enumerate() {
        let answer = answer.unwrap();
        if answer.status == 201 {
            winners.push(client.to_string());
        } else {
            answer.assert_problem(412, "precondition-failed");
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(app.redis.entry(KEY).await.as_ref(), winners.first());
}

/// An object of a mebibyte, `depth` levels deep.
fn large(depth: usize) -> String {
    const SIZE: usize = 1 << 20;
    let filler = format!(r#""filler":"{}","#, "x".repeat(SIZE / depth - 40));
    let open = format!(r#"{{{filler}"a":"#).repeat(depth);
    format!("{open}1{}", "}".repeat(depth))
}

/// A patch of the innermost member.
fn deepest(depth: usize) -> String {
    format!("{}2{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

#[tokio::test]
async fn long_merges_leave_redis_its_time() {
    const CLIENTS: usize = 32;
    let app = App::start().await;
    let paths: Vec<_> = (0..CLIENTS)
        .map(|client| format!("/api/v1/users/{client}/cache/large"))
        .collect();
    let json = large(127);
    for path in &paths {
        app.put(path).json(&json).await.assert_body(201, "");
    }
    let patches = paths
        .iter()
        .map(|path| merge(&app, path, &deepest(127)).spawn());
    for answer in join_all(patches).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_deep_merge_costs_little_more_than_a_shallow_one() {
    const ROUNDS: usize = 5;
    let app = App::patient().await;
    let mut fastest = [Duration::MAX; 2];
    for (index, depth) in [1, 127].into_iter().enumerate() {
        let json = large(depth);
        let stored = app.put(ENTRY).json(&json).await;
        stored.assert_success();
        for _ in 0..ROUNDS {
            let answer = merge(&app, ENTRY, &deepest(depth)).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body.len(), json.len());
            fastest[index] = fastest[index].min(answer.took);
        }
    }
    let [shallow, deep] = fastest;
    assert!(deep < 3 * shallow, "{deep:?} {shallow:?}");
}

#[tokio::test]
async fn patches_at_once_all_survive() {
    const CLIENTS: usize = 200;
    let app = App::patient().await;
    store(&app, "{}").await;
    let patches = (0..CLIENTS).map(|client| {
        let patch = format!(r#"{{"client-{client}":{client}}}"#);
        merge(&app, ENTRY, &patch).spawn()
    });
    for answer in join_all(patches).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let merged = app.get(ENTRY).await.json();
    let members = merged.as_object().unwrap();
    assert_eq!(members.len(), CLIENTS, "{merged}");
    for client in 0..CLIENTS {
        assert_eq!(members[&format!("client-{client}")], client);
    }
}
