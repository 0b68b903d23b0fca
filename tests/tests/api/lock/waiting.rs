//! How a lock is waited for.

use std::time::{Duration, Instant};

use edgelatch_tests::{App, Origin, Pace, Reply, until};

/// From a release until a waiter has the lock.
const HAND_OFF: Duration = Duration::from_millis(150);

/// How much longer than its `timeout` a call may wait.
const OVERTIME: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_waiter_gets_the_lock_within_150_ms_of_its_release() {
    const USERS: usize = 16;
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let locks: Vec<_> = (0..USERS).map(|user| format!("user:{user}:lock")).collect();
    for lock in &locks {
        app.redis.run::<()>(&["SET", lock, "somebody"]).await;
    }
    let call = |user| app.perform(&format!("user_id={user}&timeout=20")).spawn();
    let waiting: Vec<_> = (0..USERS).map(call).collect();
    // By then the pauses between their tries are as long as they get.
    until("each has tried ten times", || async {
        app.redis.calls("evalsha").await >= 10 * USERS as u64
    })
    .await;
    let pace = Pace::watch(&app);
    let release: Vec<_> = std::iter::once("DEL")
        .chain(locks.iter().map(String::as_str))
        .collect();
    let released = Instant::now();
    app.redis.run::<i64>(&release).await;
    for call in waiting {
        assert_eq!(call.await.unwrap().status, 200);
    }
    let most = HAND_OFF + pace.slowest().await;
    for seen in origin.seen() {
        let late = seen.began - released;
        assert!(late <= most, "{}: {late:?}, more than {most:?}", seen.path);
    }
}

#[tokio::test]
async fn a_waiter_gets_the_lock_when_the_holders_key_expires() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let pace = Pace::watch(&app);
    let life = Duration::from_millis(700);
    let least = Instant::now() + life;
    app.redis
        .run::<()>(&["SET", "user:1:lock", "somebody", "PX", "700"])
        .await;
    let most = Instant::now() + life + HAND_OFF;
    let answer = app.perform("user_id=1&timeout=20").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
    let most = most + pace.slowest().await;
    let began = origin.seen()[0].began;
    assert!(began >= least, "{:?} before it expired", least - began);
    assert!(began <= most, "{:?} too late", began - most);
}

#[tokio::test]
async fn a_call_waits_250_ms_beyond_its_timeout_at_most() {
    let app = App::start().await;
    app.redis
        .run::<()>(&["SET", "user:1:lock", "somebody"])
        .await;
    app.redis
        .run::<()>(&["SET", "user:2:lock", "somebody", "EX", "60"])
        .await;
    let pace = Pace::watch(&app);
    let timeouts = ["0", "0.001", "0.05", "0.3", "0.75", "1.2"];
    let calls: Vec<_> = timeouts
        .iter()
        .flat_map(|timeout| [(1, timeout), (2, timeout)])
        .map(|(user, timeout)| {
            let call = app.perform(&format!("user_id={user}&timeout={timeout}"));
            (
                Duration::from_secs_f64(timeout.parse().unwrap()),
                call.spawn(),
            )
        })
        .collect();
    let mut answers = Vec::new();
    for (timeout, call) in calls {
        answers.push((timeout, call.await.unwrap()));
    }
    let slowest = pace.slowest().await;
    for (timeout, answer) in answers {
        answer.assert_problem(423, "lock-held");
        let waited = Duration::from_secs_f64(answer.timing("wait") / 1000.0);
        assert!(waited >= timeout, "{waited:?} of {timeout:?}");
        let most = timeout + OVERTIME + slowest;
        assert!(answer.took <= most, "{:?} of {timeout:?}", answer.took);
    }
}

#[tokio::test]
async fn waiting_is_told_in_lock_wait_and_server_timing() {
    let origin = Origin::start(Reply::nothing().after(Duration::from_millis(200))).await;
    let app = App::builder().origin(&origin).start().await;
    let began = Instant::now();
    app.redis
        .run::<()>(&["SET", "user:1:lock", "somebody", "PX", "500"])
        .await;
    let answer = app.perform("user_id=1&timeout=20").await;
    let most = began.elapsed().as_secs_f64() * 1000.0;
    answer.assert_body(200, r#"{"status":"success"}"#);
    let lock_wait = answer.number("lock-wait") as f64;
    let (wait, action) = (answer.timing("wait"), answer.timing("action"));
    // What was left of the 500 ms when the call came in, and the action's 200 ms after it.
    assert!(lock_wait >= 250.0, "{lock_wait}");
    assert!(
        (lock_wait..lock_wait + 50.0).contains(&wait),
        "{wait}, {lock_wait}"
    );
    assert!(action >= 199.0, "{action}");
    assert!(wait + action <= most, "{wait} + {action} > {most}");
    assert!(answer.timing("redis") > 0.0);
}

#[tokio::test]
async fn an_uncontended_call_does_not_wait() {
    let app = App::start().await;
    app.perform("user_id=1").await;
    let pace = Pace::watch(&app);
    let answer = app.perform("user_id=1").await;
    let most = 50.0 + pace.slowest().await.as_secs_f64() * 1000.0;
    assert!((answer.number("lock-wait") as f64) < most);
    assert!(answer.timing("wait") < most);
}

#[tokio::test]
async fn the_last_try_is_at_the_deadline() {
    let app = App::start().await;
    app.perform("user_id=1").await;
    app.redis
        .run::<()>(&["SET", "user:1:lock", "somebody"])
        .await;
    let before = app.redis.calls("evalsha").await;
    // Shorter than any pause: the second try is the one at the deadline.
    app.perform("user_id=1&timeout=0.004")
        .await
        .assert_problem(423, "lock-held");
    assert!(app.redis.calls("evalsha").await >= before + 2);
}

#[tokio::test]
async fn a_try_that_fails_is_no_line_in_the_log() {
    // A new instance has a line: that the API is open.
    let app = App::builder().reusing_instances().start().await;
    app.perform("user_id=1").await;
    let before = app.logs();
    app.redis
        .run::<()>(&["SET", "user:1:lock", "somebody"])
        .await;
    app.perform("user_id=1&timeout=0.2")
        .await
        .assert_problem(423, "lock-held");
    app.attempt("user_id=1").await;
    assert_eq!(app.logs(), before);
}
