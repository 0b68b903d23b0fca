//! Lock and cache names: 1 to 128 of `A-Z a-z 0-9 . _ ~ : -`, after percent-decoding; not `.` or
//! `..`.

use edgelatch_tests::{App, raw};

const RESOURCES: [(&str, &str); 2] = [("locks", "name"), ("cache", "key")];

/// Sent as it is: an HTTP client resolves `..` before it sends.
async fn status_and_fault(app: &App, resource: &str, name: &str) -> (Option<u16>, String) {
    let request = format!(
        "GET /api/v1/users/7/{resource}/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(app.address(), request.as_bytes()).await;
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    (answer.status, problem["errors"][0]["loc"].to_string())
}

#[tokio::test]
async fn names_are_1_to_128_of_their_characters() {
    let app = App::start().await;
    let longest = "x".repeat(128);
    for (resource, _) in RESOURCES {
        for good in [
            "a",
            "AZaz09._~:-",
            "...",
            ".a",
            "-",
            "~",
            "%41%2E%3a",
            "last-action",
            &longest,
            &"%78".repeat(128),
        ] {
            let (status, fault) = status_and_fault(&app, resource, good).await;
            assert!(
                matches!(status, Some(200 | 404)),
                "{good}: {status:?} {fault}"
            );
        }
    }
}

#[tokio::test]
async fn any_other_name_is_422() {
    let app = App::start().await;
    let too_long = "x".repeat(129);
    for (resource, parameter) in RESOURCES {
        for bad in [
            ".",
            "..",
            "%2E",
            "%2e%2E",
            ".%2e",
            "a%20b",
            "a+b",
            "a%2Fb",
            "a%5Cb",
            "%00",
            "a%0D%0Ab",
            "%C3%A4",
            "%FF",
            "a%",
            "a%4",
            "a%zz",
            "a*b",
            "a@b",
            "a,b",
            "a;b",
            "a'b",
            "%7Ba%7D",
            "%2541",
            &too_long,
            &"%78".repeat(129),
        ] {
            let (status, fault) = status_and_fault(&app, resource, bad).await;
            assert_eq!(status, Some(422), "{resource}/{bad}");
            assert_eq!(fault, format!(r#"["path","{parameter}"]"#), "{bad}");
        }
    }
}

#[tokio::test]
async fn a_name_is_the_same_however_it_is_encoded() {
    let app = App::start().await;
    let lock = app.post("/api/v1/users/7/locks/%62uild%3A1").await;
    assert_eq!(lock.status, 201);
    let seen = app.get("/api/v1/users/7/locks/build:1").await;
    assert_eq!(seen.json()["held"], true);
    assert!(app.redis.exists("user:7:lock:build:1").await);
    app.put("/api/v1/users/7/cache/%70rofile").json("1").await;
    app.get("/api/v1/users/%37/cache/profile")
        .await
        .assert_body(200, "1");
}

#[tokio::test]
async fn without_a_name_there_is_no_such_path() {
    let app = App::start().await;
    for (resource, _) in RESOURCES {
        for path in [
            format!("/api/v1/users/7/{resource}"),
            format!("/api/v1/users/7/{resource}/"),
        ] {
            app.get(&path).await.assert_problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn paths_match_after_decoding_of_unreserved_characters() {
    let app = App::start().await;
    let lease = app.post("/%61pi/v1/users/%37/%6Cock").await;
    assert_eq!(lease.status, 201, "{}", lease.text());
    assert_eq!(app.get("/api/v1/users/7/lock").await.json()["held"], true);
    let named = app.post("/api/v1/users/7/lock%73/%62uild%2D1").await;
    assert_eq!(named.status, 201, "{}", named.text());
    assert!(app.redis.exists("user:7:lock:build-1").await);
    assert_eq!(app.get("/%68ealthz").await.status, 200);
    // A slash that is encoded separates nothing, and nothing is decoded twice.
    let slash = app.get("/api/v1/users/7%2Flock").await;
    assert_eq!(slash.faults(), ["path.user_id"]);
    app.get("/api/v1/users/7/%256Cock")
        .await
        .assert_problem(404, "not-found");
    let twice = app.post("/api/v1/users/7/locks/%%34%31").await;
    assert_eq!(twice.faults(), ["path.name"]);
}
