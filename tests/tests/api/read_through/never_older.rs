//! No read that begins after the origin has ended an action answers an older value.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use edgelatch_tests::{App, CountingOrigin, RedisServer};
use futures::future::{join, join_all};

/// What a run has come to.
#[derive(Default)]
struct Tally {
    reads: AtomicUsize,
    hits: AtomicUsize,
    older: AtomicUsize,
    done: AtomicUsize,
    lost: AtomicUsize,
    failed: AtomicUsize,
}

impl Tally {
    fn add(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn of(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::Relaxed)
    }
}

const USERS: u64 = 6;

async fn read(app: &App, origin: &CountingOrigin, user: u64, tally: &Tally) {
    let ended = origin.count(user);
    let answer = app.get(&format!("/api/v1/users/{user}")).await;
    if answer.status != 200 {
        return Tally::add(&tally.failed);
    }
    Tally::add(&tally.reads);
    let status = answer.header("cache-status").unwrap();
    if status.starts_with("edgelatch; hit") {
        Tally::add(&tally.hits);
    }
    if answer.text().parse::<u64>().unwrap() < ended {
        Tally::add(&tally.older);
        eprintln!("user {user}: {} < {ended}, {status}", answer.text());
    }
}

async fn act(app: &App, user: u64, tally: &Tally) {
    let answer = app.perform(&format!("user_id={user}&timeout=1")).await;
    Tally::add(match answer.status {
        200 => &tally.done,
        409 => &tally.lost,
        _ => &tally.failed,
    });
}

/// Breaks something, each time something else.
async fn sabotage(redis: &RedisServer, round: u64) {
    let user = round % USERS;
    match round % 4 {
        // The lock is lost in mid-action, if there is one.
        0 | 1 => {
            let lock = format!("user:{user}:lock");
            for _ in 0..50 {
                if redis.run::<i64>(&["DEL", &lock]).await == 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        // Commits are refused.
        2 => {
            redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
        }
        // Answers of Redis are lost.
        _ => {
            let _: i64 = redis.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        }
    }
}

async fn run(app: &App, origin: &CountingOrigin, reads: usize, sabotages: bool) -> Tally {
    let tally = Tally::default();
    let over = AtomicBool::new(false);
    let is_over = || over.load(Ordering::Relaxed);
    let readers = async {
        join_all((0..8).map(|reader| {
            let tally = &tally;
            async move {
                for number in 0..reads / 8 {
                    let user = (reader + number as u64) % USERS;
                    read(app, origin, user, tally).await;
                }
            }
        }))
        .await;
        over.store(true, Ordering::Relaxed);
    };
    let actors = join_all((0..USERS).map(|user| {
        let tally = &tally;
        async move {
            while !is_over() {
                act(app, user, tally).await;
                tokio::time::sleep(Duration::from_millis(40 + 30 * user)).await;
            }
        }
    }));
    let saboteur = async {
        let mut round = 0;
        while sabotages && !is_over() {
            tokio::time::sleep(Duration::from_millis(250)).await;
            sabotage(&app.redis, round).await;
            round += 1;
        }
    };
    join(readers, join(actors, saboteur)).await;
    tally
}

async fn before_counters(action: Duration) -> (App, CountingOrigin) {
    let origin = CountingOrigin::start(Duration::from_millis(4), action).await;
    // What is served while the origin is down may be older.
    let app = App::builder()
        .patient()
        .var("origin", &origin.url())
        .var("origin_timeout", "1")
        .var("stale_if_error", "0")
        .var("max_hold", "0.3")
        .var("lock_expire", "0.3")
        .start()
        .await;
    (app, origin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_an_action_that_had_ended() {
    let (app, origin) = before_counters(Duration::from_millis(15)).await;
    let began = Instant::now();
    let tally = run(&app, &origin, 2000, false).await;
    assert_eq!(Tally::of(&tally.older), 0);
    assert!(
        Tally::of(&tally.reads) > 1500,
        "{}",
        Tally::of(&tally.reads)
    );
    assert!(Tally::of(&tally.hits) > 200, "{}", Tally::of(&tally.hits));
    let tally = run(&app, &origin, 4000, true).await;
    eprintln!(
        "{} reads, {} hits, {} fetches, {} done, {} lost, {} failed in {:?}",
        Tally::of(&tally.reads),
        Tally::of(&tally.hits),
        origin.reads(),
        Tally::of(&tally.done),
        Tally::of(&tally.lost),
        Tally::of(&tally.failed),
        began.elapsed(),
    );
    assert_eq!(Tally::of(&tally.older), 0);
    assert!(
        Tally::of(&tally.reads) > 3000,
        "{}",
        Tally::of(&tally.reads)
    );
    assert!(Tally::of(&tally.hits) > 50, "{}", Tally::of(&tally.hits));
    assert!(Tally::of(&tally.lost) > 0);
}

#[tokio::test]
async fn while_a_holder_that_lost_its_lock_may_be_at_work_nothing_is_fresh() {
    let origin = CountingOrigin::start(Duration::ZERO, Duration::ZERO).await;
    let app = App::builder().var("origin", &origin.url()).start().await;
    let user = "/api/v1/users/42";
    for expected in ["0", "0"] {
        app.get(user).await.assert_body(200, expected);
    }
    assert_eq!(origin.reads(), 1);
    let lease = app.post("/api/v1/users/42/lock?expire=60").await;
    assert_eq!(lease.status, 201);
    let _: i64 = app.redis.run(&["DEL", "user:42:lock"]).await;
    app.get(user).await.assert_body(200, "0");
    // The holder does not know that yet, and changes the user.
    let change = format!("{}/users/42/change", origin.url());
    reqwest::Client::new().post(change).send().await.unwrap();
    app.get(user).await.assert_body(200, "1");
    // An action in between, which ends as it should, does not say that the other has ended.
    app.perform("user_id=42").await.assert_success();
    app.get(user).await.assert_body(200, "2");
    app.get(user).await.assert_body(200, "2");
    assert_eq!(origin.reads(), 5);
}
