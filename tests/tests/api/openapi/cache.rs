//! What the document says of the cache.

use std::pin::pin;
use std::time::Duration;

use edgelatch_tests::{App, Call, Network, Proxy};
use futures::future::{Either, select};

use super::document::Judge;
use super::requests::{Good, authorized, builder, try_what_fails, try_what_is_refused};

const PATH: &str = "/api/v1/users/42/cache/profile";
const ENTRY: &str = "{user:42:lock}:cache:profile";
const RESERVED: &str = "/api/v1/users/42/cache/last-action";

const GET: Good = entry("get_cache", "GET", "");
const PUT: Good = entry("put_cache", "PUT", r#"{"name":"Ada"}"#);
const PATCH: Good = entry("patch_cache", "PATCH", r#"{"name":null,"age":36}"#);
const DELETE: Good = entry("delete_cache", "DELETE", "");

const fn entry(id: &'static str, method: &'static str, body: &'static str) -> Good {
    Good {
        id,
        method,
        path: PATH,
        query: "",
        headers: &[],
        body,
    }
}

#[tokio::test]
async fn every_documented_answer_of_the_cache_occurs() {
    let mut app = builder().start().await;
    let mut judge = Judge::of("cache");
    try_an_absent_entry(&mut judge, &app).await;
    try_computing(&mut judge, &app).await;
    try_an_entry(&mut judge, &app).await;
    try_bodies(&mut judge, &app).await;
    try_contention(&mut judge, &app).await;
    let all = [GET, PUT, PATCH, DELETE];
    try_what_is_refused(&mut judge, &app, &all).await;
    try_what_fails(&mut judge, &mut app, &all).await;
    judge.assert_has_seen_everything();
}

async fn try_an_absent_entry(judge: &mut Judge, app: &App) {
    judge.see("get_cache", 404, "not-found", &GET.call(app).await);
    judge.see("patch_cache", 404, "not-found", &PATCH.call(app).await);
    judge.see(
        "put_cache",
        412,
        "precondition-failed",
        &if_there(PUT.call(app)).await,
    );
    judge.see(
        "delete_cache",
        412,
        "precondition-failed",
        &if_there(DELETE.call(app)).await,
    );
}

/// Between the reading and the writing of a merge somebody else always writes.
async fn try_contention(judge: &mut Judge, app: &App) {
    let proxy = Proxy::start(app.redis.port()).await;
    let limited = App::builder()
        .var("redis_port", &proxy.port().to_string())
        .var("redis_timeout", "1")
        .var("request_limit", "4")
        .beside(&app.redis);
    assert_eq!(limited.put(PATH).json("{}").await.status / 100, 2);
    proxy.set_network(Network {
        delay: Duration::from_millis(60),
        ..Network::default()
    });
    let writing = async {
        for count in 0u64.. {
            let write = ["SET", ENTRY, &count.to_string(), "PX", "60000"];
            let _: String = app.redis.run(&write).await;
        }
    };
    let patch = limited.call("PATCH", PATH).body("{}").into_future();
    let Either::Left((answer, _)) = select(pin!(patch), pin!(writing)).await else {
        unreachable!("the writing goes on");
    };
    judge.see("patch_cache", 423, "entry-contended", &answer);
}

fn if_there(call: Call) -> Call {
    call.header("if-match", "*")
}

async fn try_computing(judge: &mut Judge, app: &App) {
    let asked = || authorized(app, "GET", &format!("{PATH}?compute=10&timeout=0"));
    let granted = asked().await;
    judge.see("get_cache", 404, "compute-granted", &granted);
    judge.see("get_cache", 423, "lock-held", &asked().await);
    let token = granted.header("compute-token").unwrap();
    let reserved = authorized(app, "GET", &format!("{RESERVED}?compute=10"));
    judge.see("get_cache", 409, "reserved-key", &reserved.await);
    let open = App::start().await;
    let foreign = open.get(&format!("{PATH}?compute=10"));
    let foreign = foreign.header("sec-fetch-site", "cross-site").await;
    judge.see("get_cache", 403, "cross-site", &foreign);
    let given_up = DELETE.call(app).header("compute-token", token).await;
    judge.see("delete_cache", 204, "", &given_up);
    for (id, call) in [
        ("put_cache", PUT.call(app)),
        ("delete_cache", DELETE.call(app)),
    ] {
        let late = call.header("compute-token", token).await;
        judge.see(id, 409, "not-lock-owner", &late);
    }
}

async fn try_an_entry(judge: &mut Judge, app: &App) {
    judge.see("put_cache", 201, "", &PUT.call(app).await);
    judge.see("put_cache", 200, "", &PUT.call(app).await);
    let read = GET.call(app).await;
    judge.see("get_cache", 200, "", &read);
    let tag = read.header("etag").unwrap();
    let again = GET.call(app).header("if-none-match", tag);
    judge.see("get_cache", 304, "", &again.await);
    let other = GET.call(app).header("if-match", "\"another\"");
    judge.see("get_cache", 412, "precondition-failed", &other.await);
    let other = PATCH.call(app).header("if-match", "\"another\"");
    judge.see("patch_cache", 412, "precondition-failed", &other.await);
    let merged = PATCH.call(app).await;
    merged.assert_body(200, r#"{"age":36}"#);
    judge.see("patch_cache", 200, "", &merged);
    judge.see("delete_cache", 204, "", &DELETE.call(app).await);
}

async fn try_bodies(judge: &mut Judge, app: &App) {
    for good in [PUT, PATCH] {
        let bare = || authorized(app, good.method, PATH);
        judge.see(
            good.id,
            400,
            "malformed-json",
            &bare().body(r#"{"amount": "#).await,
        );
        let long = vec![b' '; (1 << 20) + 1];
        judge.see(good.id, 413, "body-too-large", &bare().body(long).await);
        let text = good.call(app).header("content-type", "text/plain");
        judge.see(good.id, 415, "unsupported-media-type", &text.await);
        let reserved = authorized(app, good.method, RESERVED).body(good.body);
        judge.see(good.id, 409, "reserved-key", &reserved.await);
    }
}
