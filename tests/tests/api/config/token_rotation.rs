//! Tokens are replaced without a gap: nobody whose token is valid before a step and after it is
//! refused, whichever of the variables the provider is slow to tell.

use std::cell::Cell;
use std::time::Duration;

use edgelatch_tests::{App, Call, Vault, until};

/// The two variables. In each test, the provider is slow to tell one of them, then the other.
const BOTH: [&str; 2] = ["api_token", "api_token_previous"];

const TOKENS: [&str; 5] = [
    "the-first-of-the-tokens",
    "the-second-of-the-tokens",
    "the-third-of-the-tokens",
    "the-fourth-of-the-tokens",
    "the-fifth-of-the-tokens",
];

/// How many variables are told at once at least, where one of the two is slow and the other may
/// not be asked for yet.
const OTHERS: usize = 30;

/// A Vault with the first token, and the service on it, whose instances serve so many requests.
async fn start(reuse: &str) -> (Vault, App) {
    let vault = Vault::start().await;
    vault.put_all(&[("api_token", TOKENS[0]), ("api_token_previous", "")]);
    let app = App::builder()
        .patient()
        .runtime_config(&vault.runtime_config())
        .argument("--max-instance-reuse-count")
        .argument(reuse)
        .argument("--idle-instance-timeout")
        .argument("60s")
        .start()
        .await;
    assert_eq!(status(&app, TOKENS[0]).await, 200);
    (vault, app)
}

fn with_token(app: &App, token: &str) -> Call {
    app.attempt("user_id=7")
        .header("authorization", &format!("Bearer {token}"))
}

async fn status(app: &App, token: &str) -> u16 {
    with_token(app, token).await.status
}

async fn assert_let_in(app: &App, token: &str) {
    let answer = with_token(app, token).await;
    assert_eq!(answer.status, 200, "{token}: {}", answer.text());
}

/// Sets these variables in one step, in the middle of a reading to which `slow` is told late, and
/// waits until callers with `token` are answered with `expected`. All the while, `kept` is let in.
///
/// There is one request at a time, so all of them meet one instance while it serves any.
async fn step(
    (vault, app): (&Vault, &App),
    slow: &str,
    values: &[(&str, &str)],
    kept: &str,
    (token, expected): (&str, u16),
) {
    vault.slow_down(slow, Duration::from_millis(300));
    let before = vault.answers();
    let is_set = Cell::new(false);
    let setting = async {
        until("a reading goes on", || async {
            vault.answers() >= before + OTHERS
        })
        .await;
        vault.put_all(values);
        is_set.set(true);
    };
    let asking = until("the variables are set", || async {
        assert_let_in(app, kept).await;
        is_set.get()
    });
    tokio::join!(setting, asking);
    until("the step takes effect", || async {
        assert_let_in(app, kept).await;
        let status = status(app, token).await;
        assert!([200, 401].contains(&status), "{token}: {status}");
        status == expected
    })
    .await;
}

/// In each step, `api_token` becomes another, and `api_token_previous` what `api_token` was.
async fn rotate_in_one_step(reuse: &str) {
    let (vault, app) = start(reuse).await;
    let all = (&vault, &app);
    for (round, tokens) in TOKENS.windows(2).enumerate() {
        let (old, new) = (tokens[0], tokens[1]);
        let values = [("api_token", new), ("api_token_previous", old)];
        step(all, BOTH[round % 2], &values, old, (new, 200)).await;
    }
    let values = [("api_token_previous", "")];
    step(all, BOTH[0], &values, TOKENS[4], (TOKENS[3], 401)).await;
    for token in TOKENS {
        assert!(!app.logs().contains(token), "{}", app.logs());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_rotated_in_one_step_without_a_gap() {
    rotate_in_one_step("100000").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_rotated_in_one_step_without_a_gap_where_instances_are_new() {
    rotate_in_one_step("1").await;
}

/// As docs/variables.md says for a provider that has each variable as a secret of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_rotated_one_variable_at_a_time_without_a_gap() {
    let (vault, app) = start("128").await;
    let all = (&vault, &app);
    let mut in_use = TOKENS[0];
    // The two variables in turn, beginning with the one that no client uses.
    for (round, new) in [TOKENS[1], TOKENS[3]].into_iter().enumerate() {
        let (unused, used) = (BOTH[(round + 1) % 2], BOTH[round % 2]);
        step(all, used, &[(unused, new)], in_use, (new, 200)).await;
        let fresh = if used == "api_token" { TOKENS[2] } else { "" };
        step(all, unused, &[(used, fresh)], new, (in_use, 401)).await;
        in_use = new;
    }
}
