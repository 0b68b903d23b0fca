//! Calls that wait no longer: their token was given back, or they were told of an error.

use std::time::Duration;

use edgelatch_tests::{Answer, App, Call, Service, until, within};
use tokio::task::JoinHandle;

const PATH: &str = "/api/v1/users/42/lock";
const LOCK: &str = "user:42:lock";
const QUEUE: &str = "{user:42:lock}:queue";
const TOKEN: &str = "a-token-of-the-clients-own";
const HOLDER: &str = "the-token-of-the-holder";
const NEXT: &str = "the-token-of-the-next";
const API_TOKEN: &str = "a-token-of-the-api";
const ADMIN_TOKEN: &str = "a-token-of-an-admin";

fn with(token: &str, call: Call) -> Call {
    let call = call.header("authorization", &format!("Bearer {API_TOKEN}"));
    call.header("lock-token", token)
}

/// A call that waits with a token at a service that gets no processor.
struct Frozen {
    app: App,
    other: Service,
    waiter: JoinHandle<Answer>,
}

impl Frozen {
    async fn waiter() -> Self {
        let (app, other) = Self::held().await;
        Self::waiting_at(app, other).await
    }

    /// One that arrived later than now, as where the clock was set back: behind another, or after
    /// its token was given back.
    async fn waiter_later_than_now(was_given_back: bool) -> Self {
        let (app, other) = Self::held().await;
        let planted = plant_later_than_now(&app).await;
        if was_given_back {
            let waiter = with(TOKEN, app.post(&format!("{PATH}?timeout=30"))).spawn();
            until_both_wait(&app).await;
            give_back(&app, waiter).await;
            remove(&app, planted).await;
        }
        let frozen = Self::waiting_at(app, other).await;
        if !was_given_back {
            remove(&frozen.app, planted).await;
        }
        frozen
    }

    /// Two services, and a lock that is held.
    async fn held() -> (App, Service) {
        let app = App::builder()
            .var("api_token", API_TOKEN)
            .var("admin_token", ADMIN_TOKEN)
            .start()
            .await;
        let other = App::builder()
            .var("api_token", API_TOKEN)
            .beside(&app.redis);
        let lease = with(HOLDER, app.post(&format!("{PATH}?expire=600")));
        assert_eq!(lease.await.status, 201);
        (app, other)
    }

    async fn waiting_at(app: App, other: Service) -> Self {
        let waiting = app.redis.run::<u64>(&["ZCARD", QUEUE]).await;
        let waiter = other.post(&format!("{PATH}?timeout=30&expire=600"));
        let waiter = with(TOKEN, waiter).spawn();
        until("it waits", async || {
            app.redis.run::<u64>(&["ZCARD", QUEUE]).await > waiting
        })
        .await;
        other.freeze();
        Self { app, other, waiter }
    }

    fn delete(&self, token: &str) -> Call {
        with(token, self.app.delete(PATH))
    }

    async fn until_handed_over(&self) {
        self.delete(HOLDER).await.assert_body(204, "");
        assert_eq!(self.app.redis.get(LOCK).await.as_deref(), Some(TOKEN));
    }

    async fn until_free(&self) {
        until("the lock is free", async || {
            !self.app.redis.exists(LOCK).await
        })
        .await;
    }

    /// Gives the token back, lets the waiter go on, and asserts that it takes nothing.
    async fn assert_withdrawn(self, status: u16) {
        let answer = self.delete(TOKEN).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        self.other.thaw();
        let (answer, _) = within(Duration::from_secs(5), self.waiter).await;
        answer.unwrap().assert_problem(423, "lock-held");
        assert!(!self.app.redis.exists(LOCK).await);
        // The token itself is as good as before, also for waiting.
        let lease = with(HOLDER, self.app.post(PATH)).await;
        assert_eq!(lease.status, 201);
        let again = self.app.post(&format!("{PATH}?timeout=30"));
        let again = with(TOKEN, again).spawn();
        until("it waits", async || self.app.redis.exists(QUEUE).await).await;
        with(HOLDER, self.app.delete(PATH)).await;
        assert_eq!(again.await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn one_that_was_handed_the_lock_takes_nothing() {
    let frozen = Frozen::waiter().await;
    frozen.until_handed_over().await;
    frozen.assert_withdrawn(204).await;
}

#[tokio::test]
async fn one_that_was_handed_the_lock_takes_nothing_though_another_call_has_renewed_it() {
    for method in ["POST", "PUT"] {
        let frozen = Frozen::waiter().await;
        frozen.until_handed_over().await;
        let renewal = frozen.app.call(method, &format!("{PATH}?expire=600"));
        let renewal = with(TOKEN, renewal).await;
        assert_eq!(renewal.status, 200, "{method}: {}", renewal.text());
        frozen.assert_withdrawn(204).await;
    }
}

#[tokio::test]
async fn one_that_did_not_claim_the_lock_in_time_takes_nothing() {
    let frozen = Frozen::waiter().await;
    frozen.until_handed_over().await;
    frozen.until_free().await;
    frozen.assert_withdrawn(409).await;
}

#[tokio::test]
async fn one_whose_lock_was_broken_before_it_claimed_it_takes_nothing() {
    let frozen = Frozen::waiter().await;
    frozen.until_handed_over().await;
    let admin = frozen.app.delete(&format!("{PATH}?force=true"));
    let admin = admin.header("authorization", &format!("Bearer {ADMIN_TOKEN}"));
    admin.await.assert_body(204, "");
    frozen.assert_withdrawn(409).await;
}

#[tokio::test]
async fn one_that_was_passed_over_takes_nothing() {
    let frozen = Frozen::waiter().await;
    // Longer than a live waiter is silent.
    tokio::time::sleep(Duration::from_millis(1700)).await;
    frozen.delete(HOLDER).await.assert_body(204, "");
    assert!(!frozen.app.redis.exists(LOCK).await);
    frozen.assert_withdrawn(409).await;
}

#[tokio::test]
async fn one_whose_place_was_lost_takes_nothing() {
    let frozen = Frozen::waiter().await;
    frozen.app.redis.run::<()>(&["FLUSHALL"]).await;
    frozen.assert_withdrawn(409).await;
}

#[tokio::test]
async fn one_takes_nothing_also_where_a_stranger_stands_behind_all_arrivals() {
    for score in ["inf", "1e300"] {
        let frozen = Frozen::waiter().await;
        let _: i64 = frozen.app.redis.run(&["ZADD", QUEUE, score, "x y"]).await;
        frozen.until_handed_over().await;
        frozen.assert_withdrawn(204).await;
    }
}

#[tokio::test]
async fn one_that_arrived_later_than_now_takes_nothing() {
    for was_given_back in [true, false] {
        let frozen = Frozen::waiter_later_than_now(was_given_back).await;
        frozen.until_handed_over().await;
        frozen.assert_withdrawn(204).await;
    }
}

/// Queues a dead waiter that arrived later than now.
async fn plant_later_than_now(app: &App) -> &'static str {
    let planted = "call token";
    let [seconds, _]: [u64; 2] = app.redis.run(&["TIME"]).await;
    let later = ((seconds + 10) * 1_000_000).to_string();
    let _: i64 = app.redis.run(&["ZADD", QUEUE, &later, planted]).await;
    planted
}

async fn remove(app: &App, planted: &str) {
    let removed: i64 = app.redis.run(&["ZREM", QUEUE, planted]).await;
    assert_eq!(removed, 1);
}

async fn until_both_wait(app: &App) {
    let wait = async || app.redis.run::<u64>(&["ZCARD", QUEUE]).await == 2;
    until("both wait", wait).await;
}

/// A call waits with the token, which is then given back: from there on it has a mark.
async fn marked(app: &App) {
    let lease = with(HOLDER, app.post(&format!("{PATH}?expire=600"))).await;
    assert_eq!(lease.status, 201);
    let waiter = with(TOKEN, app.post(&format!("{PATH}?timeout=30"))).spawn();
    until("it waits", async || app.redis.exists(QUEUE).await).await;
    give_back(app, waiter).await;
}

async fn give_back(app: &App, waiter: JoinHandle<Answer>) {
    let release = with(TOKEN, app.delete(PATH)).await;
    release.assert_body(204, "");
    waiter.await.unwrap().assert_problem(423, "lock-held");
}

/// Waits with the token again: to no avail for as long as it says, and until the lock is released.
async fn assert_waits_again(app: &App) {
    let vain = with(TOKEN, app.post(&format!("{PATH}?timeout=1.5"))).await;
    vain.assert_problem(423, "lock-held");
    assert!(vain.took >= Duration::from_millis(1500), "{:?}", vain.took);
    let again = with(TOKEN, app.post(&format!("{PATH}?timeout=30"))).spawn();
    until("it waits", async || app.redis.exists(QUEUE).await).await;
    // Who comes next stands behind it.
    let next = with(NEXT, app.post(&format!("{PATH}?timeout=30"))).spawn();
    until_both_wait(app).await;
    let looks = app.redis.calls("evalsha").await;
    until("both have looked again", async || {
        app.redis.calls("evalsha").await >= looks + 4
    })
    .await;
    with(HOLDER, app.delete(PATH)).await.assert_body(204, "");
    assert_eq!(again.await.unwrap().status, 201);
    assert!(!next.is_finished());
    with(TOKEN, app.delete(PATH)).await.assert_body(204, "");
    assert_eq!(next.await.unwrap().status, 201);
}

/// As where the clock was set back, or a replica whose clock is behind was promoted.
#[tokio::test]
async fn a_token_waits_again_though_it_was_given_back_later_than_now() {
    let app = App::builder().var("api_token", API_TOKEN).start().await;
    let lease = with(HOLDER, app.post(&format!("{PATH}?expire=600"))).await;
    assert_eq!(lease.status, 201);
    let planted = plant_later_than_now(&app).await;
    let waiter = with(TOKEN, app.post(&format!("{PATH}?timeout=30"))).spawn();
    until_both_wait(&app).await;
    give_back(&app, waiter).await;
    remove(&app, planted).await;
    assert_waits_again(&app).await;
}

#[tokio::test]
async fn a_strangers_mark_keeps_no_token_from_waiting() {
    let times = [
        "99999999999999999999",
        "9007199254740990",
        "4503599627370496",
        "inf",
    ];
    for time in times {
        let app = App::builder().var("api_token", API_TOKEN).start().await;
        marked(&app).await;
        let marks = app.redis.run(&["KEYS", "{user:42:lock}:cancelled:*"]);
        let marks: Vec<String> = marks.await;
        assert_eq!(marks.len(), 1, "{marks:?}");
        app.redis.run::<()>(&["SET", &marks[0], time]).await;
        assert_waits_again(&app).await;
    }
}

/// A stopped Redis carries out what waits in its sockets when it goes on.
#[tokio::test]
async fn what_was_told_503_takes_nothing_however_long_redis_was_stopped() {
    let app = App::start().await;
    let call = |number: u32| match number % 2 {
        0 => app.post(&format!("{PATH}?expire=5&timeout=5")),
        _ => app.perform("user_id=42&expire=5"),
    };
    // Redis knows the scripts.
    let lease = app.post(PATH).header("lock-token", HOLDER).await;
    assert_eq!(lease.status, 201);
    app.delete(PATH).header("lock-token", HOLDER).await;
    app.perform("user_id=42").await.assert_success();
    app.redis.pause();
    let calls: Vec<_> = (0..4).map(|number| call(number).spawn()).collect();
    for call in calls {
        call.await.unwrap().assert_problem(503, "redis-timeout");
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    app.redis.resume();
    let served = async {
        let action = app.perform("user_id=42&timeout=5").await;
        action.assert_success();
    };
    within(Duration::from_secs(3), served).await;
    until("the lock is free", async || !app.redis.exists(LOCK).await).await;
}
