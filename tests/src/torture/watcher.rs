//! Looks at the locks in Redis all the time, past the faulty network: which of them are held for
//! longer than actions and ordinary leases hold one, and under which tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::history::LongHold;
use super::nemesis::lock;
use super::{Run, USERS};

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// More than any other lock has left, be it handed to a waiter that has not claimed it yet.
const LONG: Duration = Duration::from_secs(2);

/// How long a look may take. Redis may be down.
const LIMIT: Duration = Duration::from_millis(200);

/// Watches until it is aborted.
pub(super) async fn watch(run: Arc<Run>) {
    let mut seen: HashMap<String, LongHold> = HashMap::new();
    let mut connection = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        match tokio::time::timeout(LIMIT, look(&run, &mut connection)).await {
            Ok(Ok(held)) => note(&run, &mut seen, held),
            // Another connection, maybe to another server.
            Ok(Err(_)) | Err(_) => connection = None,
        }
    }
}

async fn look(
    run: &Run,
    kept: &mut Option<(u16, MultiplexedConnection)>,
) -> redis::RedisResult<Vec<(u64, String)>> {
    let port = run.redis_port.load(Ordering::Relaxed);
    let connection = match kept {
        Some((known, connection)) if *known == port => connection,
        _ => {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
            let connection = client.get_multiplexed_async_connection().await?;
            &mut kept.insert((port, connection)).1
        }
    };
    let mut look = redis::pipe();
    for user in 1..=USERS {
        look.get(lock(user)).pttl(lock(user));
    }
    let locks: Vec<redis::Value> = look.query_async(connection).await?;
    let mut held = Vec::new();
    for (user, pair) in (1..=USERS).zip(locks.chunks_exact(2)) {
        let token: Option<String> = redis::from_redis_value(&pair[0])?;
        let left: i64 = redis::from_redis_value(&pair[1])?;
        if let Some(token) = token.filter(|_| left > LONG.as_millis() as i64) {
            held.push((user, token));
        }
    }
    Ok(held)
}

fn note(run: &Run, seen: &mut HashMap<String, LongHold>, held: Vec<(u64, String)>) {
    let now = run.recorder.now();
    for (user, token) in held {
        let hold = seen.entry(token.clone()).or_insert(LongHold {
            user,
            token,
            from: now,
            to: now,
        });
        hold.to = now;
    }
    let over: Vec<String> = seen
        .values()
        .filter(|hold| hold.to < now)
        .map(|hold| hold.token.clone())
        .collect();
    for token in over {
        if let Some(hold) = seen.remove(&token) {
            run.recorder.note(|history| history.long_holds.push(hold));
        }
    }
}
