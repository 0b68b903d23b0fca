//! "Read-through" of the contract: users from the origin, through the cache.

mod after_failures;
mod collapsing;
mod failures;
mod freshness;
mod invalidation;
mod lost_fence;
mod lost_leases;
mod never_older;
mod stale;
mod uncacheable;

use std::time::Duration;

use edgelatch_tests::{App, Origin, Pace, Reply};

const USER: &str = "/api/v1/users/42";
const ENTRY: &str = "{user:42:lock}:origin";
const OUTCOME: &str = "{user:42:lock}:origin:outcome";

/// A service in front of an origin that answers like this.
async fn before(reply: Reply) -> (App, Origin) {
    let origin = Origin::start(reply).await;
    let app = App::builder().origin(&origin).start().await;
    (app, origin)
}

/// The seconds that `Cache-Control` allows.
fn max_age(answer: &edgelatch_tests::Answer) -> u64 {
    let control = answer.header("cache-control").unwrap();
    let seconds = control.strip_prefix("private, max-age=").unwrap();
    seconds.parse().unwrap()
}

/// Lets an entry grow older, or expire: as if that much time had passed.
async fn age(app: &App, by: Duration) {
    let left = app.redis.ms_left(ENTRY).await - i64::try_from(by.as_millis()).unwrap();
    let left = left.to_string();
    let _: i64 = app.redis.run(&["PEXPIRE", ENTRY, &left]).await;
}

#[tokio::test]
async fn the_second_read_is_a_hit() {
    let (app, origin) = before(Reply::json(r#"{ "name":  "Ada" }"#)).await;
    let first = app.get(USER).await;
    first.assert_body(200, r#"{ "name":  "Ada" }"#);
    assert_eq!(first.header("content-type"), Some("application/json"));
    let status = "edgelatch; fwd=miss; fwd-status=200; stored; ttl=3599";
    let as_now = first
        .header("cache-status")
        .unwrap()
        .replace("3600", "3599");
    assert_eq!(as_now, status);
    assert!((3598..=3600).contains(&max_age(&first)));
    assert_eq!(first.header("age"), Some("0"));
    for path in [USER, "/api/v1/users/42/"] {
        let next = app.get(path).await;
        next.assert_body(200, r#"{ "name":  "Ada" }"#);
        let status = next.header("cache-status").unwrap();
        let ttl = status.strip_prefix("edgelatch; hit; ttl=").unwrap();
        assert!((3500..=3600).contains(&ttl.parse().unwrap()), "{status}");
        assert_eq!(next.header("etag"), first.header("etag"));
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_hit_is_one_redis_command() {
    let (app, _origin) = before(Reply::json("{}")).await;
    app.get(USER).await;
    let before = app.redis.calls("evalsha").await;
    let all: u64 = app.redis.calls("mget").await;
    app.get(USER).await.assert_body(200, "{}");
    assert_eq!(app.redis.calls("evalsha").await - before, 1);
    assert!(app.redis.calls("mget").await > all);
}

#[tokio::test]
async fn the_fetch_is_a_get_with_the_users_id() {
    let (app, origin) = before(Reply::json("{}")).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    app.get("/api/v1/users/-7")
        .header("traceparent", trace)
        .header("tracestate", "a=1")
        .header("x-request-id", "mine/1")
        .header("authorization", "Bearer x")
        .header("cookie", "a=b")
        .header("if-none-match", "\"x\"")
        .await
        .assert_body(200, "{}");
    let seen = origin.seen().remove(0);
    assert_eq!((&*seen.method, &*seen.path), ("GET", "/users/-7"));
    assert_eq!(seen.header("x-user-id"), Some("-7"));
    assert_eq!(seen.header("x-request-id"), Some("mine/1"));
    assert_eq!(seen.header("traceparent"), Some(trace));
    assert_eq!(seen.header("tracestate"), Some("a=1"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    for absent in ["authorization", "cookie", "if-none-match", "fencing-token"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn origin_user_path_is_a_template() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin);
    let app = app
        .var("origin_user_path", "/v2/{user_id}.json")
        .start()
        .await;
    app.get(USER).await.assert_body(200, "1");
    assert_eq!(origin.seen()[0].path, "/v2/42.json");
}

#[tokio::test]
async fn without_an_origin_it_is_404() {
    let app = App::start().await;
    app.get(USER).await.assert_problem(404, "no-origin");
    app.get("/api/v1/users/x")
        .await
        .assert_problem(422, "invalid-request");
}

#[tokio::test]
async fn request_faults_come_before_the_fetch() {
    let (app, origin) = before(Reply::json("{}")).await;
    let bad = app.get("/api/v1/users/007?expire=0&color=red");
    let answer = bad.header("if-match", "x").await;
    answer.assert_problem(422, "invalid-request");
    assert_eq!(answer.faults().len(), 4);
    assert_eq!(origin.seen().len(), 0);
}

#[tokio::test]
async fn conditions_are_those_of_the_cache() {
    let (app, origin) = before(Reply::json("{}")).await;
    let tag = app.get(USER).await.header("etag").unwrap().to_owned();
    let same = app.get(USER).header("if-none-match", &tag).await;
    same.assert_body(304, "");
    assert_eq!(same.header("etag"), Some(&*tag));
    assert!(same.header("age").is_some() && same.header("cache-status").is_some());
    assert!(max_age(&same) > 3500);
    let other = app.get(USER).header("if-none-match", "\"other\"").await;
    other.assert_body(200, "{}");
    let other = app.get(USER).header("if-match", "\"other\"").await;
    other.assert_problem(412, "precondition-failed");
    // Also where the origin is asked for it.
    let anew = app.get(USER).header("cache-control", "no-cache");
    anew.header("if-none-match", &tag)
        .await
        .assert_body(304, "");
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn head_answers_without_a_body() {
    let (app, _origin) = before(Reply::json("{\"a\":1}")).await;
    let head = app.call("HEAD", USER).await;
    head.assert_body(200, "");
    assert_eq!(head.header("content-length"), Some("7"));
    assert!(head.header("etag").is_some());
}

#[tokio::test]
async fn it_needs_the_api_token() {
    let origin = Origin::start(Reply::json("{}")).await;
    let app = App::builder()
        .origin(&origin)
        .var("api_token", "a-s3cret-of-the-test");
    let app = app.start().await;
    app.get(USER).await.assert_problem(401, "unauthorized");
    assert_eq!(origin.seen().len(), 0);
}

#[tokio::test]
async fn whatever_is_kept_expires() {
    let (app, origin) = before(Reply::json("{}")).await;
    app.get(USER).await.assert_body(200, "{}");
    origin.reply_with(Reply::status(500, "{}"));
    app.get("/api/v1/users/43")
        .await
        .assert_problem(502, "origin-failed");
    assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_strangers_value_is_no_entry() {
    let (app, origin) = before(Reply::json("{}")).await;
    for (count, value) in ["", "x", "{}\n{}", "{\"number\":1}\n{}"].iter().enumerate() {
        let _: String = app.redis.run(&["SET", ENTRY, value, "PX", "60000"]).await;
        app.get(USER).await.assert_body(200, "{}");
        assert_eq!(origin.seen().len(), count + 1, "{value}");
    }
    let _: i64 = app.redis.run(&["DEL", ENTRY]).await;
    let _: i64 = app.redis.run(&["RPUSH", ENTRY, "x"]).await;
    app.get(USER).await.assert_body(200, "{}");
    app.get(USER).await.assert_body(200, "{}");
    assert_eq!(origin.seen().len(), 5);
}

#[tokio::test]
async fn a_number_that_no_fetch_has_counts_for_none() {
    let (app, origin) = before(Reply::json("{}")).await;
    for number in [
        "9007199254740991",
        "9223372036854775806",
        "9223372036854775807",
        "99999999999999999999",
    ] {
        let reading = format!(r#"{{"fence":1,"grace":1,"number":{number},"#);
        let rest = r#""lifetime":60000,"status":200,"etag":"0123456789abcdef0123456789abcdef","#;
        let rest = format!(r#"{rest}"age":0,"overdue":0,"while_revalidate":1,"if_error":1}}"#);
        let outcome = format!(r#"{{"number":{number},"fence":1,"beside":0,"kind":"down"}}"#);
        for (key, value) in [
            (ENTRY, format!("{reading}\n")),
            (ENTRY, format!("{reading}{rest}\n1")),
            (OUTCOME, format!("{outcome}\n")),
        ] {
            app.redis.run::<()>(&["FLUSHALL"]).await;
            let planted = ["SET", key, &value, "PX", "60001"];
            let _: String = app.redis.run(&planted).await;
            let asked = origin.seen().len();
            let commands = app.redis.calls("evalsha").await;
            for control in ["max-age=9", "no-cache"] {
                let answer = app.get(USER).header("cache-control", control).await;
                answer.assert_body(200, "{}");
            }
            assert_eq!(origin.seen().len() - asked, 2, "{value}");
            let commands = app.redis.calls("evalsha").await - commands;
            assert!(commands <= 6, "{value} {commands}");
        }
    }
}

#[tokio::test]
async fn a_strangers_value_without_expiry_is_no_fetch_under_way() {
    let (app, origin) = before(Reply::json("{}")).await;
    let mut fetched = 0;
    for lock in [
        ["SET", "{user:42:lock}:origin:lock", "x"].as_slice(),
        &["RPUSH", "{user:42:lock}:origin:lock", "x"],
        &["RPUSH", "{user:42:lock}:origin:fence", "x"],
        &["RPUSH", "{user:42:lock}:fence", "x"],
        &["SET", "{user:42:lock}:fence", "1/99999999999999999999 x y"],
    ] {
        app.redis.run::<()>(&["FLUSHALL"]).await;
        app.redis.run::<redis::Value>(lock).await;
        let pace = Pace::watch(&app);
        let answer = app.get(USER).await;
        answer.assert_body(200, "{}");
        let most = Duration::from_secs(1) + pace.slowest().await;
        assert!(answer.took < most, "{:?}", answer.took);
        app.get(USER).await.assert_body(200, "{}");
        fetched += 1;
        assert_eq!(origin.seen().len(), fetched, "{lock:?}");
    }
}

#[tokio::test]
async fn a_redis_that_fails_is_503() {
    let (app, _origin) = before(Reply::json("{}")).await;
    app.redis.pause();
    let answer = app.get(USER).await;
    answer.assert_problem(503, "redis-timeout");
    assert!(
        answer.took < Duration::from_millis(1500),
        "{:?}",
        answer.took
    );
}
