//! Requests of any bytes, sent with and without a token. Without one they change nothing, get no
//! further than 401 except on the open routes, and cost no more than a bounded multiple of
//! `/healthz`.
//!
//! `EDGELATCH_FUZZ_REQUESTS` makes the run longer, and `EDGELATCH_FUZZ_SEED` makes up others.

use std::time::Duration;

use edgelatch_tests::{App, RawAnswer, on_spin, raw, raw_then_hang_up};

use super::made_up::{MadeUp, Random};

const TOKEN: &str = "a-token-of-the-fuzzer";

/// How many requests are made up for each kind of user ids.
const REQUESTS: u64 = 400;

const SEED: u64 = 17;

/// The most that a request without a token may cost, in requests for `/healthz`. The largest file
/// costs some 70 where it is unpacked, and 60 KB of parameters some 15.
const MULTIPLE: u32 = 100;

/// How often a request that seems dear is measured again. What it costs is the least: the others
/// were disturbed.
const AGAIN: usize = 5;

/// For an answer to a request that may never be whole.
const PATIENCE: Duration = Duration::from_millis(300);

/// The longest answer to a request that is refused, in bytes.
const LONGEST: usize = 64 << 10;

/// The longest answer for want of a token: it repeats at most 2 KB of the path.
const LONGEST_401: usize = 4 << 10;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

async fn send(app: &App, made_up: &MadeUp, token: Option<&str>) -> RawAnswer {
    let bytes = made_up.bytes(token);
    if made_up.whole {
        raw(app.address(), &bytes).await
    } else {
        raw_then_hang_up(app.address(), &bytes, PATIENCE).await
    }
}

/// Sends it without a token. Returns what that took of the service's processor time, too.
async fn measured(app: &App, made_up: &MadeUp) -> (RawAnswer, Duration) {
    let used = || app.processor_time().unwrap_or_default();
    let before = used();
    let answer = send(app, made_up, None).await;
    (answer, used().saturating_sub(before))
}

/// The processor time of a request for `/healthz`, on the average of many.
async fn bare(app: &App) -> Duration {
    const TIMES: u32 = 20;
    let alive = MadeUp::alive();
    let mut sum = Duration::ZERO;
    for _ in 0..TIMES {
        sum += measured(app, &alive).await.1;
    }
    sum / TIMES
}

#[expect(clippy::print_stdout, reason = "the seed repeats a failure")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_request_without_a_token_changes_nothing_and_is_cheap() {
    let requests = setting("EDGELATCH_FUZZ_REQUESTS", REQUESTS);
    let seed = setting("EDGELATCH_FUZZ_SEED", SEED);
    println!("EDGELATCH_FUZZ_SEED={seed} EDGELATCH_FUZZ_REQUESTS={requests}");
    let mut random = Random::new(seed);
    for user_ids in ["integer", "uuid", "name"] {
        let builder = App::builder()
            .patient()
            .var("api_token", TOKEN)
            .var("user_ids", user_ids)
            .var("lock_timeout", "0.05");
        let app = builder.start().await;
        let mut yardstick = bare(&app).await;
        let mut sent = Vec::new();
        // All of those without a token come first: what one with a token does may go on after it.
        for number in 0..requests {
            if number % 50 == 49 {
                yardstick = yardstick.max(bare(&app).await);
            }
            let made_up = MadeUp::new(&mut random);
            let name = format!("{user_ids} {number}: {made_up}");
            let (without, mut cost) = measured(&app, &made_up).await;
            check_without(&made_up, &without, &name);
            if made_up.probes {
                app.redis.run::<()>(&["FLUSHALL"]).await;
            }
            let keys = app.redis.run::<i64>(&["DBSIZE"]).await;
            assert_eq!(keys, 0, "{name}");
            for _ in 0..AGAIN {
                if cost > yardstick * MULTIPLE {
                    cost = cost.min(measured(&app, &made_up).await.1);
                }
            }
            assert!(
                cost <= yardstick * MULTIPLE,
                "{cost:?} and not {yardstick:?}: {name}"
            );
            sent.push((name, made_up, without));
        }
        for (name, made_up, without) in sent {
            let with = send(&app, &made_up, Some(TOKEN)).await;
            check_with(&made_up, &without, &with, &name);
        }
    }
}

/// Whether the service made this answer, and not the host, which knows no request ids.
fn of_the_service(answer: &RawAnswer) -> bool {
    answer.header("x-request-id").is_some()
}

fn check_without(made_up: &MadeUp, without: &RawAnswer, name: &str) {
    let status = without.status;
    if !of_the_service(without) {
        // Not HTTP, or too long. Spin, too, answers 500 if a header is not UTF-8.
        assert!(
            matches!(status, None | Some(400 | 414 | 431)) || status == Some(500) && !made_up.text,
            "{name}: {without:?}"
        );
    } else if made_up.guarded {
        // Spin resets a connection whose request it has not read to its end: what has not been read
        // of the answer by then is lost.
        let is_told = without.slug() == Some("unauthorized") || on_spin() && without.is_cut();
        assert_eq!(
            (status, made_up.head || is_told),
            (Some(401), true),
            "{name}: {without:?}"
        );
        assert!(without.body.len() < LONGEST_401, "{name}");
    } else {
        assert!(
            matches!(status, Some(200 | 204 | 304 | 404 | 405 | 413 | 415 | 422)),
            "{name}: {without:?}"
        );
    }
    if status != Some(200) {
        assert!(without.body.len() < LONGEST, "{name}");
    }
}

fn check_with(made_up: &MadeUp, without: &RawAnswer, with: &RawAnswer, name: &str) {
    if of_the_service(with) {
        assert!(
            !matches!(with.status, Some(401 | 500..=599)),
            "{name}: {with:?}"
        );
    }
    // The token makes a head longer, so the one may be too long and the other not.
    if !made_up.guarded && of_the_service(with) && of_the_service(without) {
        assert_eq!(without.status, with.status, "{name}");
    }
}
