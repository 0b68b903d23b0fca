//! A bad value is refused with the variable's name and what it accepts: in the log, and as 500
//! `misconfigured` on every route but `/healthz`.

use edgelatch_tests::{App, until};

/// Each variable, and values that it does not accept. They are told from anything else in a log.
const BAD: [(&str, &[&str]); 31] = [
    (
        "redis_host",
        &[
            "zq/zq",
            "",
            "zq zq",
            "zq@zq",
            "[zq]",
            "zq:1",
            "999.999.999.999",
            "10.77.31",
            "zq..zq",
        ],
    ),
    (
        "redis_port",
        &["zq", "", "0", "65539", "-7731", "+7731", "7731.5"],
    ),
    ("redis_db", &["zq", "", "-7731", "1.7731"]),
    (
        "redis_nodes",
        &[
            "zqx",
            "*",
            "redis://10.0.0.0/99:1",
            "redis://zq:p@h:1",
            "redis://zq:1/zq",
            "rediss://zq",
            "redis://zq:7006..7000",
        ],
    ),
    ("redis_tls", &["zq", "", "TRUE", "yes-zq"]),
    (
        "redis_timeout",
        &["zq", "", "0", "0.0099", "60.7731", "-7731", "7731e1"],
    ),
    ("key_prefix", &["zq{zq", "zq}", "zq zq", "zäq", LONG_PREFIX]),
    ("user_ids", &["zq-email", "", "UUID", "Integer"]),
    ("lock_timeout", &["zq", "", "-7731", "60.7731", "7731s"]),
    ("lock_expire", &["zq", "", "0", "0.00077", "2597731"]),
    ("max_hold", &["zq", "", "0", "2597731"]),
    ("cache_expire", &["zq", "", "0", "2597731"]),
    (
        "max_body_bytes",
        &["zq", "", "0", "67108877", "7731.5", "1MiBzq"],
    ),
    ("request_limit", &["zq", "", "-7731", "0.7731", "3607731"]),
    ("idempotency_expire", &["zq", "", "0", "2597731"]),
    ("api_token", &["zq zq", "zäq", "zq\u{7f}", "zq-fourteen-ch"]),
    ("api_token_previous", &["zq zq", "zq-short"]),
    ("admin_token", &["zq zq", "zq-short"]),
    ("require_token", &["zq", "", "TRUE"]),
    (
        "origin",
        &[
            "zq",
            "",
            "ftp://zq",
            "http://zq/zq",
            "http://u@zq",
            "http://zq:0",
            "http://zq?zq",
            "http://zq:zq",
            "http://zq:",
            "http://zq:65536",
            "http://zq:-7731",
            "http://zq:0x50",
            "http://127.0.0.1:9349x",
            "http://1.2.3.4.5",
            "http://999.1.1.1",
            "http://zq:9349//",
            "http://self",
        ],
    ),
    (
        "origin_action_path",
        &["zq", "", "/{zq}", "//zq", "/zq?zq", "/zq#zq", "/z q"],
    ),
    (
        "origin_user_path",
        &["zq", "", "/{action}zq", "//zq", "/zq?zq", "/z q"],
    ),
    ("origin_timeout", &["zq", "", "0", "3607731", "-7731"]),
    ("origin_passthrough", &["zq", "", "TRUE", "1-zq"]),
    ("origin_invalidate", &["zq", "", "yes-zq"]),
    ("stale_while_revalidate", &["zq", "", "-7731", "2597731"]),
    ("stale_if_error", &["zq", "", "-7731", "2597731"]),
    ("negative_expire", &["zq", "", "0", "2597731"]),
    ("log_requests", &["zq", "", "TRUE", "yes-zq"]),
    ("log_key", &["zq zq", "zäq", "zq\u{7f}"]),
    ("redis_host", &["z\u{e4}q"]),
];

const LONG_PREFIX: &str = "zqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqzqz";

/// The sentence about a variable.
fn sentence(logs: &str, variable: &str) -> Option<String> {
    let start = format!("variable `{variable}` must be ");
    let (_, rest) = logs.split_once(&start)?;
    rest.split([';', '"']).next().map(str::to_owned)
}

/// Values too short or too common to be looked for in a log.
fn is_telling(value: &str) -> bool {
    value.len() >= 4 && value != "TRUE"
}

#[tokio::test]
async fn every_bad_value_is_refused_by_name_and_never_shown() {
    let most = BAD.iter().map(|(_, values)| values.len()).max();
    for round in 0..most.unwrap() {
        let bad: Vec<_> = BAD
            .iter()
            .filter_map(|(variable, values)| Some((*variable, *values.get(round)?)))
            .collect();
        let mut builder = App::builder();
        for (variable, value) in &bad {
            builder = builder.var(variable, value);
        }
        let app = builder.start().await;
        let answer = app.perform("user_id=7").await;
        answer.assert_problem(500, "misconfigured");
        for (variable, value) in bad {
            until("the fault is logged", || async {
                sentence(&app.logs(), variable).is_some()
            })
            .await;
            let accepts = sentence(&app.logs(), variable).unwrap();
            assert!(accepts.len() > 10, "{variable}: {accepts}");
            if is_telling(value) {
                assert!(!app.logs().contains(value), "{value:?} in {}", app.logs());
                assert!(!answer.text().contains(value), "{value:?}");
            }
            assert!(!answer.text().contains(variable), "{variable}");
        }
    }
}

#[tokio::test]
async fn a_misconfigured_service_answers_500() {
    let app = App::builder().var("lock_expire", "0").start().await;
    for (method, path) in [
        ("GET", "/readyz"),
        ("POST", "/api/v1/users/perform-action?user_id=7"),
        ("POST", "/api/v1/users/attempt-action?user_id=x"),
        ("GET", "/api/v1/users/7/lock"),
        ("PUT", "/api/v1/users/7/cache/profile"),
        ("OPTIONS", "/api/v1/users/7/lock"),
        ("GET", "/nothing"),
        ("PUT", "/healthz"),
    ] {
        let answer = app.call(method, path).await;
        answer.assert_problem(500, "misconfigured");
    }
    for path in ["/healthz", "/healthz/"] {
        let answer = app.get(path).await;
        answer.assert_body(200, r#"{"status":"ok"}"#);
    }
    let head = app.call("HEAD", "/healthz").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn the_values_at_the_bounds_are_accepted() {
    for values in [
        [
            ("redis_timeout", "0.01"),
            ("lock_timeout", "0"),
            ("lock_expire", "0.001"),
            ("max_hold", "0.001"),
            ("cache_expire", "0.001"),
            ("max_body_bytes", "1"),
            ("idempotency_expire", "0.001"),
            ("origin_timeout", "0.001"),
        ],
        [
            ("redis_timeout", "60"),
            ("lock_timeout", "60"),
            ("lock_expire", "2592000"),
            ("max_hold", "2592000"),
            ("cache_expire", "2592000"),
            ("max_body_bytes", "67108864"),
            ("idempotency_expire", "2592000"),
            ("origin_timeout", "3600"),
        ],
    ] {
        let mut builder = App::builder().var("key_prefix", &LONG_PREFIX[1..]);
        for (variable, value) in values {
            builder = builder.var(variable, value);
        }
        let app = builder.start().await;
        let answer = app.get("/api/v1/users/7/cache/absent").await;
        // A hundredth of a second may be too little for a busy machine, but it is a setting.
        assert!([404, 503].contains(&answer.status), "{}", answer.text());
    }
}

#[tokio::test]
async fn tokens_that_do_not_fit_together_are_refused() {
    const A: &str = "a-token-of-the-test";
    const B: &str = "another-of-the-test";
    for (variables, refused) in [
        (&[("require_token", "true")][..], "api_token"),
        (&[("api_token_previous", A)], "api_token_previous"),
        (&[("admin_token", A)], "admin_token"),
        (
            &[("api_token", A), ("api_token_previous", A)],
            "api_token_previous",
        ),
        (&[("api_token", A), ("admin_token", A)], "admin_token"),
        (
            &[
                ("api_token", A),
                ("api_token_previous", B),
                ("admin_token", B),
            ],
            "admin_token",
        ),
    ] {
        let mut builder = App::builder();
        for (variable, value) in variables {
            builder = builder.var(variable, value);
        }
        let app = builder.start().await;
        app.perform("user_id=7")
            .await
            .assert_problem(500, "misconfigured");
        until("the fault is logged", || async {
            sentence(&app.logs(), refused).is_some()
        })
        .await;
        assert!(!app.logs().contains(A), "{}", app.logs());
    }
}
