//! Leases: a lock held across requests. The same sentences over the user's own lock and over a
//! named one.

mod acquire;
mod ambiguity;
mod break_log;
mod exclusion;
mod force;
mod inspect;
mod own_token;
mod owner;
mod renew_release;
mod strangers;
mod watch;

use edgelatch_tests::{Answer, App, until};

/// A lock: its path, its key in Redis, and the key of its fence.
#[derive(Clone, Copy)]
struct Place {
    path: &'static str,
    key: &'static str,
    fence: &'static str,
}

const PLACES: [Place; 2] = [
    Place {
        path: "/api/v1/users/42/lock",
        key: "user:42:lock",
        fence: "{user:42:lock}:fence",
    },
    Place {
        path: "/api/v1/users/42/locks/build",
        key: "user:42:lock:build",
        fence: "{user:42:lock:build}:fence",
    },
];

const TOKEN: &str = "a-token-of-the-clients-own";
const OTHER_TOKEN: &str = "a-token-of-somebody-else";

/// What is granted.
struct Lease {
    token: String,
    fencing_token: i64,
    expires_in: f64,
}

impl Lease {
    /// Reads a grant and asserts its status and that it has these three members and no other.
    #[track_caller]
    fn of(answer: &Answer, status: u16) -> Self {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let body = answer.json();
        let lease = Self {
            token: body["token"].as_str().unwrap().to_owned(),
            fencing_token: body["fencing_token"].as_i64().unwrap(),
            expires_in: body["expires_in"].as_f64().unwrap(),
        };
        assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
        lease
    }
}

impl Place {
    /// Waits until this many are in the queue.
    async fn until_queued(self, app: &App, count: i64) {
        let queue = format!("{{{}}}:queue", self.key);
        let queued = async || app.redis.run::<i64>(&["ZCARD", &queue]).await == count;
        until("they are queued", queued).await;
    }

    /// Takes the lock, which is free, for a minute.
    async fn acquire(self, app: &App) -> Lease {
        let answer = app.post(&format!("{}?expire=60", self.path)).await;
        Lease::of(&answer, 201)
    }
}
