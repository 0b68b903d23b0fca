//! `user_id`, `timeout` and `expire`; unknown and repeated parameters; all faults at once.

use edgelatch_tests::{Answer, App};

const BAD_USER_IDS: [&str; 22] = [
    "x",
    "%2B7",
    "+7",
    "007",
    "-07",
    "-0",
    "--7",
    "-",
    "7.0",
    "7e0",
    "0x7",
    "1_000",
    "1,000",
    "%207",
    "7%20",
    "7%00",
    "%00",
    "%EF%BC%97",
    "%FF",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999999999999999999",
];

const USER_IDS: [&str; 6] = [
    "0",
    "7",
    "-7",
    "%37",
    "9223372036854775807",
    "-9223372036854775808",
];

/// The types of a 422's faults, in their order.
fn types(answer: &Answer) -> Vec<String> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().unwrap();
    let kind = |error: &serde_json::Value| error["type"].as_str().unwrap().to_owned();
    errors.iter().map(kind).collect()
}

#[tokio::test]
async fn user_id_is_a_decimal_integer_that_fits_i64_in_the_query() {
    let app = App::start().await;
    for action in ["perform-action", "attempt-action"] {
        let path = format!("/api/v1/users/{action}");
        for good in USER_IDS {
            let answer = app.post(&format!("{path}?user_id={good}")).await;
            assert_eq!(answer.status, 200, "{good}");
        }
        for bad in BAD_USER_IDS.iter().chain(&[""]) {
            let answer = app.post(&format!("{path}?user_id={bad}")).await;
            assert_eq!(answer.faults(), ["query.user_id"], "{bad}");
            assert_eq!(types(&answer), ["int_parsing"], "{bad}");
        }
    }
    assert!(
        app.redis
            .exists("{user:-9223372036854775808:lock}:fence")
            .await
    );
}

#[tokio::test]
async fn user_id_is_a_decimal_integer_that_fits_i64_in_the_path() {
    let app = App::start().await;
    for resource in ["lock", "locks/build", "cache/profile"] {
        for good in USER_IDS {
            let answer = app.get(&format!("/api/v1/users/{good}/{resource}")).await;
            assert!([200, 404].contains(&answer.status), "{good}");
        }
        for bad in BAD_USER_IDS {
            let answer = app.get(&format!("/api/v1/users/{bad}/{resource}")).await;
            assert_eq!(answer.faults(), ["path.user_id"], "{bad}");
            assert_eq!(types(&answer), ["int_parsing"], "{bad}");
        }
    }
}

#[tokio::test]
async fn a_user_id_that_is_missing_or_repeated_is_422() {
    let app = App::start().await;
    for action in ["perform-action", "attempt-action"] {
        let path = format!("/api/v1/users/{action}");
        let missing = app.post(&path).await;
        assert_eq!(missing.faults(), ["query.user_id"]);
        assert_eq!(types(&missing), ["missing"]);
        let missing = app.post(&format!("{path}?User_Id=7")).await;
        assert_eq!(missing.faults(), ["query.user_id", "query.User_Id"]);
        let repeated = app.post(&format!("{path}?user_id=7&user_id=7")).await;
        assert_eq!(repeated.faults(), ["query.user_id"]);
        assert_eq!(types(&repeated), ["multiple_values"]);
    }
}

#[tokio::test]
async fn timeout_is_seconds_from_0_to_60() {
    let app = App::start().await;
    for good in [
        "0", "0.0", "60", "60.000", "0.25", "05", "00.5", "0.0001", "%35",
    ] {
        let answer = app.perform(&format!("user_id=7&timeout={good}")).await;
        assert_eq!(answer.status, 200, "{good}");
        let path = format!("/api/v1/users/8/locks/{good}?timeout={good}");
        assert_eq!(app.post(&path).await.status, 201, "{good}");
    }
    for (bad, kind) in NOT_SECONDS.into_iter().chain([
        ("60.0000001", "less_than_equal"),
        ("61", "less_than_equal"),
        ("99999999999999999999999999", "less_than_equal"),
    ]) {
        let answer = app.perform(&format!("user_id=7&timeout={bad}")).await;
        assert_eq!(answer.faults(), ["query.timeout"], "{bad}");
        assert_eq!(types(&answer), [kind], "{bad}");
        let answer = app
            .post(&format!("/api/v1/users/7/lock?timeout={bad}"))
            .await;
        assert_eq!(answer.faults(), ["query.timeout"], "{bad}");
    }
}

/// What is no number of seconds for anybody.
const NOT_SECONDS: [(&str, &str); 19] = [
    ("", "float_parsing"),
    ("-1", "float_parsing"),
    ("-0", "float_parsing"),
    ("+1", "float_parsing"),
    ("%2B1", "float_parsing"),
    ("1e1", "float_parsing"),
    ("1E1", "float_parsing"),
    (".5", "float_parsing"),
    ("5.", "float_parsing"),
    ("1.2.3", "float_parsing"),
    ("1,5", "float_parsing"),
    ("1_0", "float_parsing"),
    ("0x1", "float_parsing"),
    ("1s", "float_parsing"),
    ("%201", "float_parsing"),
    ("1%00", "float_parsing"),
    ("inf", "float_parsing"),
    ("NaN", "float_parsing"),
    ("%D9%A1", "float_parsing"),
];

#[tokio::test]
async fn expire_is_seconds_from_a_thousandth_to_thirty_days() {
    let app = App::start().await;
    let lock = "/api/v1/users/7/locks/build";
    for good in ["0.001", "0.0010001", "10", "1.5", "2592000", "2592000.000"] {
        let answer = app.post(&format!("/api/v1/users/8/locks/{good}?expire={good}"));
        assert_eq!(answer.await.status, 201, "{good}");
    }
    for (bad, kind) in NOT_SECONDS.into_iter().chain([
        ("0", "greater_than_equal"),
        ("0.000", "greater_than_equal"),
        ("0.0009999", "greater_than_equal"),
        ("2592000.0000001", "less_than_equal"),
        ("2592001", "less_than_equal"),
        ("99999999999999999999999999", "less_than_equal"),
    ]) {
        for call in [
            app.perform(&format!("user_id=7&expire={bad}")),
            app.attempt(&format!("user_id=7&expire={bad}")),
            app.post(&format!("{lock}?expire={bad}")),
            app.put(&format!("{lock}?expire={bad}")),
            app.put(&format!("/api/v1/users/7/cache/k?expire={bad}")),
            app.call("PATCH", &format!("/api/v1/users/7/cache/k?expire={bad}")),
        ] {
            let answer = call.await;
            assert_eq!(answer.faults(), ["query.expire"], "{bad}");
            assert_eq!(types(&answer), [kind], "{bad}");
        }
    }
}

#[tokio::test]
async fn what_is_finer_than_a_millisecond_is_rounded_up() {
    let app = App::start().await;
    for (expire, rounded) in [
        ("10.0001", 10.001),
        ("9.9999999", 10.0),
        ("0.0010001", 0.002),
    ] {
        let path = format!("/api/v1/users/7/locks/{expire}?expire={expire}");
        let answer = app.post(&path).await;
        assert_eq!(answer.json()["expires_in"], rounded, "{expire}");
    }
}

#[tokio::test]
async fn a_parameter_that_the_route_does_not_have_is_422() {
    let app = App::start().await;
    for (method, path, bad) in [
        ("POST", "/api/v1/users/perform-action?user_id=7", "color"),
        ("POST", "/api/v1/users/attempt-action?user_id=7", "timeout"),
        ("POST", "/api/v1/users/7/lock?expire=1", "user_id"),
        ("PUT", "/api/v1/users/7/lock?expire=1", "timeout"),
        ("GET", "/api/v1/users/7/lock?", "expire"),
        ("DELETE", "/api/v1/users/7/lock?", "expire"),
        ("DELETE", "/api/v1/users/7/locks/build?", "forced"),
        ("GET", "/api/v1/users/7/cache/profile?", "expire"),
        ("PUT", "/api/v1/users/7/cache/profile?expire=1", "timeout"),
        ("DELETE", "/api/v1/users/7/cache/profile?", "expire"),
        ("GET", "/healthz?", "verbose"),
        ("GET", "/readyz?", "verbose"),
    ] {
        let path = format!("{path}&{bad}=1");
        let answer = app.call(method, &path).await;
        assert_eq!(answer.faults(), [format!("query.{bad}")], "{path}");
        assert_eq!(types(&answer), ["extra_forbidden"], "{path}");
    }
    let answer = app.perform("user_id=7&c%C3%B6l%22or%00=1").await;
    assert_eq!(answer.faults(), ["query.cöl\"or\0"]);
}

#[tokio::test]
async fn a_repeated_parameter_is_422() {
    let app = App::start().await;
    let answer = app
        .perform("user_id=7&expire=1&expire=1&timeout=0&timeout=0")
        .await;
    let mut faults = answer.faults();
    faults.sort();
    assert_eq!(faults, ["query.expire", "query.timeout"]);
    assert_eq!(types(&answer), ["multiple_values", "multiple_values"]);
    assert!(!app.redis.exists("{user:7:lock}:fence").await, "it ran");
}

#[tokio::test]
async fn all_faults_of_a_request_are_listed_at_once() {
    let app = App::start().await;
    let query = "timeout=61&expire=0&user_id=x&color=red&size=1";
    let mut faults = app.perform(query).await.faults();
    faults.sort();
    let expected = ["color", "expire", "size", "timeout", "user_id"];
    assert_eq!(faults, expected.map(|name| format!("query.{name}")));

    let path = "/api/v1/users/x/cache/a%20b?expire=1e3&color=red";
    let call = app.put(path).header("if-match", "no-quotes").json("{}");
    let answer = call.await;
    let mut faults = answer.faults();
    faults.sort();
    let expected = [
        "header.if-match",
        "path.key",
        "path.user_id",
        "query.color",
        "query.expire",
    ];
    assert_eq!(faults, expected);
    for name in ["user_id", "key", "expire", "color"] {
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(name), "{name} is not in {detail}");
    }
}
