//! What the document says of leases.

use edgelatch_tests::App;

use super::document::Judge;
use super::requests::{Good, authorized, builder, try_what_fails, try_what_is_refused};

const TOKEN: &[(&str, &str)] = &[("lock-token", "0123456789abcdef")];

/// Inspect, acquire, renew, release: of the user's own lock and of a named one.
const OWN: [Good; 4] = [
    lease("inspect_lock", "GET", "/api/v1/users/42/lock", &[]),
    lease("acquire_lock", "POST", "/api/v1/users/42/lock", &[]),
    lease("renew_lock", "PUT", "/api/v1/users/42/lock", TOKEN),
    lease("release_lock", "DELETE", "/api/v1/users/42/lock", TOKEN),
];

const NAMED: [Good; 4] = [
    lease(
        "inspect_named_lock",
        "GET",
        "/api/v1/users/42/locks/build",
        &[],
    ),
    lease(
        "acquire_named_lock",
        "POST",
        "/api/v1/users/42/locks/build",
        &[],
    ),
    lease(
        "renew_named_lock",
        "PUT",
        "/api/v1/users/42/locks/build",
        TOKEN,
    ),
    lease(
        "release_named_lock",
        "DELETE",
        "/api/v1/users/42/locks/build",
        TOKEN,
    ),
];

const fn lease(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> Good {
    Good {
        id,
        method,
        path,
        query: "",
        headers,
        body: "",
    }
}

#[tokio::test]
async fn every_documented_answer_of_leases_occurs() {
    let mut app = builder().start().await;
    let mut judge = Judge::of("leases");
    for verbs in [&OWN, &NAMED] {
        try_a_lease(&mut judge, &app, verbs).await;
        try_tokens(&mut judge, &app, verbs).await;
        try_what_is_refused(&mut judge, &app, verbs).await;
    }
    let all: Vec<Good> = OWN.into_iter().chain(NAMED).collect();
    try_what_fails(&mut judge, &mut app, &all).await;
    judge.assert_has_seen_everything();
}

async fn try_a_lease(judge: &mut Judge, app: &App, [inspect, acquire, renew, release]: &[Good; 4]) {
    judge.see(inspect.id, 200, "", &inspect.call(app).await);
    let (name, token) = TOKEN[0];
    let with_token = || acquire.call(app).header(name, token);
    judge.see(acquire.id, 201, "", &with_token().await);
    judge.see(acquire.id, 200, "", &with_token().await);
    judge.see(acquire.id, 423, "lock-held", &acquire.call(app).await);
    let held = inspect.call(app).await;
    assert_eq!(held.json()["held"], true);
    judge.see(inspect.id, 200, "", &held);
    judge.see(renew.id, 200, "", &renew.call(app).await);
    judge.see(release.id, 204, "", &release.call(app).await);
    judge.see(release.id, 409, "not-lock-owner", &release.call(app).await);
    judge.see(renew.id, 409, "not-lock-owner", &renew.call(app).await);
}

async fn try_tokens(judge: &mut Judge, app: &App, [_, acquire, renew, release]: &[Good; 4]) {
    for verb in [acquire, renew, release] {
        let short = authorized(app, verb.method, verb.path).header("lock-token", "short");
        judge.see(verb.id, 400, "lock-token-invalid", &short.await);
    }
    for verb in [acquire, renew] {
        let body = |media_type: &str, body: String| {
            let call = authorized(app, verb.method, verb.path);
            call.header("content-type", media_type).body(body)
        };
        let form = body("application/x-www-form-urlencoded", "timeout=5".to_owned());
        judge.see(verb.id, 415, "unsupported-media-type", &form.await);
        let broken = body("application/json", "{\"amount\": ".to_owned());
        judge.see(verb.id, 400, "malformed-json", &broken.await);
        let long = body("application/json", " ".repeat((1 << 20) + 1));
        judge.see(verb.id, 413, "body-too-large", &long.await);
    }
    let forced = authorized(app, "DELETE", &format!("{}?force=true", release.path));
    judge.see(release.id, 403, "admin-only", &forced.await);
    for verb in [renew, release] {
        let none = authorized(app, verb.method, verb.path);
        judge.see(verb.id, 428, "lock-token-required", &none.await);
    }
}

#[tokio::test]
async fn a_foreign_lock_looks_as_documented() {
    let app = builder().start().await;
    let mut judge = Judge::of("leases");
    let set: String = app.redis.run(&["SET", "user:42:lock", "somebody"]).await;
    assert_eq!(set, "OK");
    let foreign = OWN[0].call(&app).await;
    assert!(foreign.json()["fencing_token"].is_null() && foreign.json()["expires_in"].is_null());
    judge.see(OWN[0].id, 200, "", &foreign);
}
