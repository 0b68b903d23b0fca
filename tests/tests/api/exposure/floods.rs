//! Connections without a token that send what costs most, while authorised clients work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use edgelatch_tests::{App, raw, until};
use futures::future::join_all;

use super::queries::names;

const TOKEN: &str = "a-token-of-the-clients";

/// Connections of attackers.
const ATTACKERS: usize = 8;

/// Clients, and actions of each.
const CLIENTS: usize = 20;
const ACTIONS: usize = 10;

/// Users, so that some clients wait for each other.
const USERS: usize = 15;

/// What is sent without a token: the request line, headers and a body.
fn floods() -> [(&'static str, String); 9] {
    let request = |line: &str, headers: &str, body: &str| {
        let length = body.len();
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    };
    let perform = "POST /api/v1/users/perform-action?user_id=1&expire=1";
    let tags = format!("If-Match: {}x\r\n", "\"a\", ".repeat(100)).repeat(60);
    let cookie = format!("Cookie: {}\r\n", "a=b; ".repeat(12_000));
    let bearer = format!("Authorization: Bearer {}\r\n", "a".repeat(60_000));
    [
        (
            "names for /healthz",
            request(&format!("GET /healthz?{}", names()), "", ""),
        ),
        (
            "names for /docs",
            request(&format!("GET /docs?{}", names()), "", ""),
        ),
        ("a file", request("GET /docs/swagger-ui.js", "", "")),
        ("no token", request(perform, "", "")),
        (
            "names for an action",
            request(&format!("{perform}&{}", names()), "", ""),
        ),
        ("faulty headers", request(perform, &tags, "")),
        ("a long cookie", request(perform, &cookie, "")),
        ("a long token", request(perform, &bearer, "")),
        (
            "a deep body",
            request(
                perform,
                "Content-Type: application/json\r\n",
                &"[".repeat(900_000),
            ),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_succeeds_while_others_flood() {
    // What is measured is who is served at all, also on a machine that is busy with other tests.
    let builder = App::builder().var("api_token", TOKEN);
    let app = Arc::new(builder.var("redis_timeout", "5").start().await);
    for (kind, flood) in floods() {
        let over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let flood = Arc::new(flood);
        let attackers = (0..ATTACKERS).map(|_| {
            let (app, flood) = (Arc::clone(&app), Arc::clone(&flood));
            let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let answer = raw(app.address(), flood.as_bytes()).await;
                    // None if the answer was lost because the server closed before it had read all.
                    assert!(
                        matches!(answer.status, Some(200 | 401 | 422) | None),
                        "{answer:?}"
                    );
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let attackers: Vec<_> = attackers.collect();
        until("the flood has begun", || async {
            sent.load(Ordering::Relaxed) > ATTACKERS as u64
        })
        .await;
        let clients = (0..CLIENTS).map(|client| tokio::spawn(act(Arc::clone(&app), client)));
        for client in join_all(clients).await {
            assert_eq!(client.unwrap(), [200; ACTIONS], "{kind}");
        }
        over.store(true, Ordering::Relaxed);
        for attacker in join_all(attackers).await {
            attacker.unwrap();
        }
    }
}

/// The statuses of a client's actions. A third of the locks live for a few seconds only.
async fn act(app: Arc<App>, client: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for action in 0..ACTIONS {
        let expire = if (client + action).is_multiple_of(3) {
            2
        } else {
            10
        };
        let user = client % USERS;
        let call = app.perform(&format!("user_id={user}&timeout=30&expire={expire}"));
        let answer = call
            .header("authorization", &format!("Bearer {TOKEN}"))
            .await;
        statuses.push(answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    statuses
}
