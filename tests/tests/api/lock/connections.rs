//! A waiter keeps one connection to Redis, and looks where it can't listen.

use std::time::{Duration, Instant};

use edgelatch_tests::{
    Answer, App, AppBuilder, Behaviour, Call, FakeRedis, Network, Origin, Proxy, RedisServer,
    Reply, until,
};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;

const PATH: &str = "/api/v1/users/42/lock";
const QUEUE: &str = "{user:42:lock}:queue";

/// What waiting costs Redis.
struct Costs {
    redis: MultiplexedConnection,
    connections: u64,
    commands: u64,
}

impl Costs {
    async fn so_far(redis: &RedisServer) -> Self {
        let mut redis = redis.connection().await;
        let (connections, commands) = Self::read(&mut redis).await;
        Self {
            redis,
            connections,
            commands,
        }
    }

    async fn read(redis: &mut MultiplexedConnection) -> (u64, u64) {
        let mut info = redis::cmd("INFO");
        let info: String = info.arg("everything").query_async(redis).await.unwrap();
        let number = |prefix: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(prefix));
            let digits = value.and_then(|value| value.split(',').next());
            digits.map_or(0, |digits| digits.trim().parse::<u64>().unwrap())
        };
        let commands = ["evalsha", "blpop", "auth", "select"];
        let commands = commands.map(|name| number(&format!("cmdstat_{name}:calls=")));
        let commands = commands.iter().sum();
        (number("total_connections_received:"), commands)
    }

    /// The connections and the commands since then.
    async fn since(&mut self) -> (u64, u64) {
        let (connections, commands) = Self::read(&mut self.redis).await;
        (connections - self.connections, commands - self.commands)
    }

    async fn waiting(&mut self) -> u64 {
        let mut count = redis::cmd("ZCARD");
        count.arg(QUEUE).query_async(&mut self.redis).await.unwrap()
    }
}

/// Lets `count` actions wait for five seconds, and asserts what that costs each at the most: its own
/// connection, the shared one of its instance where that is new, and under five commands a second.
async fn assert_costs(app: &App, count: u64) {
    app.post(&format!("{PATH}?expire=600")).await;
    let mut costs = Costs::so_far(&app.redis).await;
    let waiters: Vec<JoinHandle<Answer>> = (0..count)
        .map(|_| app.perform("user_id=42&timeout=5").spawn())
        .collect();
    for waiter in waiters {
        waiter.await.unwrap().assert_problem(423, "lock-held");
    }
    let (opened, commands) = costs.since().await;
    assert!(opened <= 2 * count, "{opened} connections");
    let rate = commands as f64 / count as f64 / 5.0;
    assert!(rate < 5.0, "{rate} commands a second for each");
    assert_eq!(costs.waiting().await, 0);
}

fn behind(port: u16) -> AppBuilder {
    App::builder()
        .patient()
        .var("redis_port", &port.to_string())
}

#[tokio::test]
async fn a_waiter_keeps_one_connection() {
    let app = App::builder().patient().start().await;
    assert_costs(&app, 1).await;
}

#[tokio::test]
async fn short_waits_leave_no_connections_behind() {
    const CALLERS: i64 = 10;
    for timeout in ["0.02", "0.1"] {
        let app = App::builder().patient().reusing_instances().start().await;
        app.post(&format!("{PATH}?expire=600")).await;
        let mut redis = app.redis.connection().await;
        let end = Instant::now() + Duration::from_secs(2);
        let callers = (0..CALLERS).map(|_| async {
            while Instant::now() < end {
                let call = app.perform(&format!("user_id=42&timeout={timeout}"));
                call.await.assert_problem(423, "lock-held");
            }
        });
        let most = async {
            let mut most = 0;
            while Instant::now() < end {
                let info = redis::cmd("INFO").arg("clients").to_owned();
                let info: String = info.query_async(&mut redis).await.unwrap();
                let connected = info
                    .lines()
                    .find_map(|line| line.strip_prefix("connected_clients:"));
                most = most.max(connected.unwrap().parse::<i64>().unwrap());
            }
            most
        };
        let (_, most) = tokio::join!(futures::future::join_all(callers), most);
        // Each has one in use, those that Redis has not let go of (it looks every 100 ms), and at
        // most an instance with a shared one.
        assert!(
            most <= 5 * CALLERS,
            "timeout={timeout}: {most} connections for {CALLERS} callers"
        );
    }
}

#[tokio::test]
async fn a_waiter_far_from_redis_keeps_one_connection() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port()).await;
    proxy.set_network(Network {
        delay: Duration::from_millis(40),
        ..Network::default()
    });
    let app = behind(proxy.port()).redis(redis).start().await;
    assert_costs(&app, 1).await;
}

#[tokio::test]
async fn waiters_block_for_whole_seconds_where_there_are_no_decimals() {
    let redis = RedisServer::start().await;
    let old = FakeRedis::start(Behaviour::ForwardAsRedis5(redis.port())).await;
    let app = behind(old.port()).redis(redis).reusing_instances();
    let app = app.start().await;
    let calls = app.redis.calls("blpop").await;
    assert_costs(&app, 4).await;
    let calls = app.redis.calls("blpop").await - calls;
    assert!((4..=4 * 8).contains(&calls), "{calls}");
    // A signal is heard all the same.
    let other = app.post("/api/v1/users/7/lock?expire=600").await;
    let token = other.json()["token"].as_str().unwrap().to_owned();
    let waiter = app.perform("user_id=7&timeout=30").spawn();
    until("it waits", || async {
        app.redis.exists("{user:7:lock}:queue").await
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let release = app.delete("/api/v1/users/7/lock");
    release.header("lock-token", &token).await;
    waiter.await.unwrap().assert_success();
}

#[tokio::test]
async fn waiters_look_over_the_shared_connection_where_blocking_is_refused() {
    let redis = RedisServer::refusing("blpop").await;
    let app = App::builder().patient().redis(redis).reusing_instances();
    let app = app.start().await;
    assert_costs(&app, 4).await;
}

fn eight_connections() -> AppBuilder {
    App::builder().runtime_config("[outbound_redis]\nmax_connections = 8\n")
}

/// A service with room for eight connections, whose user 42 has the lock.
async fn with_eight_connections() -> (App, String) {
    let app = eight_connections().start().await;
    let lease = app.post(&format!("{PATH}?expire=600")).await;
    let token = lease.json()["token"].as_str().unwrap().to_owned();
    (app, token)
}

/// Asserts that the requests of other users are served while these go on.
async fn assert_others_served(busy: &[JoinHandle<Answer>], request: impl Fn(&str) -> Call) {
    for user in 100..140 {
        // A burst, so that there are instances that have no connection yet.
        let burst = (0..4).map(|part| request(&format!("{user}{part}")).spawn());
        for answer in burst.collect::<Vec<_>>() {
            answer.await.unwrap().assert_success();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!busy.iter().any(JoinHandle::is_finished), "one has ended");
}

/// Asserts that others are served, and then all that wait.
async fn assert_served(app: &App, token: &str, waiters: Vec<JoinHandle<Answer>>) {
    let action = |user: &str| app.perform(&format!("user_id={user}"));
    assert_others_served(&waiters, action).await;
    let release = app.delete(PATH).header("lock-token", token).await;
    release.assert_body(204, "");
    for waiter in waiters {
        waiter.await.unwrap().assert_success();
    }
}

#[tokio::test]
async fn waiting_leaves_connections_to_others() {
    for count in [6, 7, 8, 40] {
        let (app, token) = with_eight_connections().await;
        let mut costs = Costs::so_far(&app.redis).await;
        let mut waiters: Vec<JoinHandle<Answer>> = Vec::new();
        for place in 1..=count {
            waiters.push(app.perform("user_id=42&timeout=60").spawn());
            while costs.waiting().await < place {
                assert!(
                    !waiters.iter().any(JoinHandle::is_finished),
                    "one waits no longer"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_served(&app, &token, waiters).await;
    }
}

#[tokio::test]
async fn more_waiting_instances_than_connections_take_turns() {
    for count in [8, 40] {
        let (app, token) = with_eight_connections().await;
        let mut costs = Costs::so_far(&app.redis).await;
        // All at once: each gets an instance of its own.
        let waiters: Vec<JoinHandle<Answer>> = (0..count)
            .map(|_| app.perform("user_id=42&timeout=60").spawn())
            .collect();
        while costs.waiting().await < count {
            assert!(
                !waiters.iter().any(JoinHandle::is_finished),
                "one waits no longer"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_served(&app, &token, waiters).await;
    }
}

#[tokio::test]
async fn who_takes_turns_sends_under_five_commands_a_second_logins_included() {
    const COUNT: u64 = 24;
    for (method, query) in [("POST", "timeout=30"), ("GET", "wait=30")] {
        let app = eight_connections()
            .var("redis_user", "anna")
            .var("redis_db", "3")
            // Each has an instance of its own.
            .argument("--max-instance-concurrent-reuse-count")
            .argument("1")
            .start()
            .await;
        let rules = ["ACL", "SETUSER", "anna", "on", "nopass", "~*", "+@all"];
        app.redis.run::<()>(&rules).await;
        app.post(&format!("{PATH}?expire=600")).await;
        let waits = |_| app.call(method, &format!("{PATH}?{query}")).spawn();
        let waiting: Vec<JoinHandle<Answer>> = (0..COUNT).map(waits).collect();
        // They have found out by then that they have to take turns.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        let mut costs = Costs::so_far(&app.redis).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (opened, commands) = costs.since().await;
        let took = began.elapsed();
        let rate = commands as f64 / COUNT as f64 / took.as_secs_f64();
        assert!(opened > COUNT, "{method}: {opened} connections");
        assert!(rate < 5.0, "{method}: {rate} commands a second for each");
        assert!(
            !waiting.iter().any(JoinHandle::is_finished),
            "one has ended"
        );
        waiting.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test]
async fn watching_leaves_connections_to_others() {
    for count in [8, 40] {
        let (app, token) = with_eight_connections().await;
        // All at once: each gets an instance of its own.
        let watchers: Vec<JoinHandle<Answer>> = (0..count)
            .map(|_| app.get(&format!("{PATH}?wait=60")).spawn())
            .collect();
        let action = |user: &str| app.perform(&format!("user_id={user}"));
        assert_others_served(&watchers, action).await;
        let renewed = app.put(&format!("{PATH}?expire=600"));
        let renewed = renewed.header("lock-token", &token).await;
        assert_eq!(renewed.status, 200, "{}", renewed.text());
        app.delete(PATH).header("lock-token", &token).await;
        for watcher in watchers {
            let answer = watcher.await.unwrap();
            answer.assert_body(200, r#"{"held":false,"waiting":0}"#);
        }
    }
}

#[tokio::test]
async fn long_actions_leave_connections_to_others() {
    for count in [8, 40] {
        let origin = Origin::start(Reply::json("1").gated()).await;
        let app = eight_connections()
            .var("origin_timeout", "60")
            .origin(&origin)
            .start()
            .await;
        // They renew their locks meanwhile.
        let actions: Vec<JoinHandle<Answer>> = (0..count)
            .map(|user| app.perform(&format!("user_id={user}&expire=6")).spawn())
            .collect();
        origin.until_seen(count).await;
        let lease = |user: &str| app.post(&format!("/api/v1/users/{user}/lock"));
        assert_others_served(&actions, lease).await;
        for _ in 0..count {
            origin.release_one();
        }
        for action in actions {
            action.await.unwrap().assert_success();
        }
    }
}

/// Each opens a connection first, one after the other. One that slept instead would keep a lock that
/// it is handed from all others.
#[tokio::test]
async fn waiters_that_come_together_listen_at_once() {
    const WAITERS: u64 = 8;
    let app = App::patient().await;
    app.post(&format!("{PATH}?expire=600")).await;
    let before = app.redis.calls("evalsha").await;
    let path = format!("{PATH}?timeout=30");
    let waiters: Vec<_> = (0..WAITERS).map(|_| app.post(&path).spawn()).collect();
    until("all listen", async || {
        let info: String = app.redis.run(&["INFO", "clients"]).await;
        info.contains(&format!("blocked_clients:{WAITERS}\r"))
    })
    .await;
    let looks = app.redis.calls("evalsha").await - before;
    assert!(looks < WAITERS + WAITERS / 2, "{looks} looks");
    drop(waiters);
}
