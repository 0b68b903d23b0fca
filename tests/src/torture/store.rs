//! The origin: a store that compares fencing tokens, and records what runs when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::history::{Execution, Recorder};
use crate::server::{LocalServer, serve_routes};

/// An origin on 127.0.0.1. A request's body says how long its work takes.
pub(crate) struct Store(LocalServer);

struct Shared {
    recorder: Arc<Recorder>,
    /// The greatest fencing token seen, by user.
    greatest: Mutex<HashMap<u64, i64>>,
}

impl Store {
    pub(crate) async fn start(recorder: Arc<Recorder>) -> Self {
        let shared = Arc::new(Shared {
            recorder,
            greatest: Mutex::default(),
        });
        let router = Router::new()
            .route("/users/{user}/{action}", post(act))
            .with_state(shared);
        Self(LocalServer::start(|listener| serve_routes(listener, router)).await)
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }
}

/// Records an execution when it ends, even if it is aborted.
struct RunningExecution<'a>(&'a Shared, Execution);

impl Drop for RunningExecution<'_> {
    fn drop(&mut self) {
        let Self(shared, execution) = self;
        let mut execution = execution.clone();
        execution.ended = shared.recorder.now();
        shared
            .recorder
            .note(|history| history.executions.push(execution));
    }
}

async fn act(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(input): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let header = |name: &str| headers[name].to_str().unwrap();
    let user: u64 = header("x-user-id").parse().unwrap();
    let fencing_token: i64 = header("fencing-token").parse().unwrap();
    let refused = {
        let mut all = shared.greatest.lock().unwrap();
        let greatest = all.entry(user).or_default();
        let refused = fencing_token < *greatest;
        *greatest = fencing_token.max(*greatest);
        refused
    };
    let now = shared.recorder.now();
    let _running = RunningExecution(
        &shared,
        Execution {
            id: header("x-request-id").to_owned(),
            user,
            fencing_token,
            began: now,
            ended: now,
            refused,
        },
    );
    if refused {
        return (
            StatusCode::CONFLICT,
            Json(json!({"refused": fencing_token})),
        );
    }
    let work = input["work_ms"].as_u64().unwrap_or_default();
    if work > 0 {
        tokio::time::sleep(Duration::from_millis(work)).await;
    }
    (StatusCode::OK, Json(json!({"done": fencing_token})))
}
