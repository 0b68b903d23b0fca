//! Wrong verb: 405 with `Allow`. `HEAD` wherever `GET` is. `OPTIONS` answers 204 with `Allow`.

use edgelatch_tests::{Answer, App, until};

use super::ROUTES;

/// The methods that `Allow` lists, sorted.
fn allowed(answer: &Answer) -> Vec<String> {
    let allow = answer.header("allow").unwrap_or_default();
    let mut methods: Vec<_> = allow
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    methods.sort();
    methods
}

fn expected(methods: &[&str]) -> Vec<String> {
    let mut all: Vec<_> = methods.iter().map(|name| (*name).to_owned()).collect();
    all.push("OPTIONS".to_owned());
    all.sort();
    all
}

#[tokio::test]
async fn a_wrong_verb_is_405_with_allow() {
    let app = App::start().await;
    for route in ROUTES {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get",
        ] {
            if route.methods.contains(&method) {
                continue;
            }
            for slash in ["", "/"] {
                let path = format!("{}{slash}", route.path);
                let answer = app.call(method, &path).await;
                assert_eq!(answer.status, 405, "{method} {path}");
                if method != "HEAD" {
                    answer.assert_problem(405, "method-not-allowed");
                }
                assert_eq!(allowed(&answer), expected(route.methods), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn options_answers_204_with_allow() {
    let app = App::start().await;
    for route in ROUTES {
        for slash in ["", "/"] {
            let path = format!("{}{slash}", route.path);
            let answer = app.call("OPTIONS", &path).await;
            answer.assert_body(204, "");
            assert_eq!(allowed(&answer), expected(route.methods), "{path}");
        }
    }
    let answer = app.call("OPTIONS", "/api/v1/nothing").await;
    answer.assert_problem(404, "not-found");
}

/// Headers that are another's with every answer, or tell the seconds left.
const CHANGING: [&str; 5] = [
    "x-request-id",
    "server-timing",
    "date",
    "cache-control",
    "cache-status",
];

/// All headers but the values of those.
fn lasting(answer: &Answer) -> Vec<(String, String)> {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    for (name, value) in &mut headers {
        if CHANGING.contains(&name.as_str()) {
            value.clear();
        }
    }
    headers.sort();
    headers
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let app = App::start().await;
    let stored = app
        .put("/api/v1/users/7/cache/profile")
        .json(r#"{"a":1}"#)
        .await;
    let etag = stored.header("etag").unwrap().to_owned();
    for (path, if_none_match, status) in [
        ("/healthz", "", 200),
        ("/api/v1/users/7/lock", "", 200),
        ("/api/v1/users/7/locks/build", "", 200),
        ("/api/v1/users/7/cache/profile", "", 200),
        ("/api/v1/users/7/cache/profile", etag.as_str(), 304),
        ("/api/v1/users/7/cache/absent", "", 404),
        ("/api/v1/users/x/cache/profile", "", 422),
        ("/api/v1/users/x/lock?color=red", "", 422),
        ("/api/v1/nothing", "", 404),
        ("/api/v1/users/perform-action", "", 405),
    ] {
        let call = |method: &str| {
            let call = app.call(method, path);
            match if_none_match {
                "" => call,
                etag => call.header("if-none-match", etag),
            }
        };
        let (get, head) = (call("GET").await, call("HEAD").await);
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(lasting(&head), lasting(&get), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn head_of_readyz_asks_redis_too() {
    let mut app = App::start().await;
    let answer = app.call("HEAD", "/readyz").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert!(answer.timing("redis") > 0.0);
    app.redis.kill();
    // An outcome is shared for a second.
    until("it is not ready", || async {
        let answer = app.call("HEAD", "/readyz").await;
        assert!(answer.body.is_empty());
        answer.status == 503 && answer.header("retry-after") == Some("1")
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_has_no_body_has_no_length() {
    let app = App::start().await;
    let path = "/api/v1/users/7/cache/profile";
    let stored = app.put(path).json("[1]").await;
    let etag = stored.header("etag").unwrap();
    for (call, status) in [
        (app.get(path).header("if-none-match", etag), 304),
        (app.delete(path), 204),
        (app.call("OPTIONS", path), 204),
    ] {
        let answer = call.await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-length"), None, "{status}");
    }
}
