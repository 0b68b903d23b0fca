//! The part of HashiCorp Vault that Spin uses: the key-value store, version 2.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::server::{self, LocalServer, serve_routes};

/// The token that callers must send.
const TOKEN: &str = "vault-token-of-the-test";

/// What it holds, and what it was asked.
#[derive(Default)]
struct State {
    secrets: Mutex<HashMap<String, String>>,
    /// The secret that it is slow to look up, and by how much.
    slow: Mutex<Option<(String, Duration)>>,
    reads: AtomicUsize,
    answers: AtomicUsize,
}

/// A server on 127.0.0.1 with the secrets of the mount `secret`.
pub struct Vault {
    port: u16,
    state: Arc<State>,
    server: Option<LocalServer>,
}

impl Vault {
    /// Starts one without secrets.
    pub async fn start() -> Self {
        let mut vault = Self {
            port: 0,
            state: Arc::default(),
            server: None,
        };
        vault.serve().await;
        vault
    }

    /// Sets the value of a variable.
    pub fn put(&self, variable: &str, value: &str) {
        self.put_all(&[(variable, value)]);
    }

    /// Sets the values of several variables in one step.
    pub fn put_all(&self, values: &[(&str, &str)]) {
        let values = values.iter().copied();
        let mut secrets = self.state.secrets.lock().unwrap();
        secrets.extend(values.map(|(variable, value)| (variable.to_owned(), value.to_owned())));
    }

    /// From now on looks this variable up so much later than it is asked for it, and all others at
    /// once.
    pub fn slow_down(&self, variable: &str, by: Duration) {
        *self.state.slow.lock().unwrap() = Some((variable.to_owned(), by));
    }

    /// Deletes the value of a variable.
    pub fn remove(&self, variable: &str) {
        self.state.secrets.lock().unwrap().remove(variable);
    }

    /// How many secrets were asked for.
    pub fn reads(&self) -> usize {
        self.state.reads.load(Ordering::Relaxed)
    }

    /// How many secrets were looked up.
    pub fn answers(&self) -> usize {
        self.state.answers.load(Ordering::Relaxed)
    }

    /// Stops it.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Starts it, after a stop on the same port.
    pub async fn serve(&mut self) {
        let router = Router::new()
            .route("/v1/secret/data/edgelatch/{name}", get(read))
            .with_state(Arc::clone(&self.state));
        let serve = |listener| serve_routes(listener, router);
        let server = LocalServer::start_at(self.port, serve).await;
        self.port = server.port();
        self.server = Some(server);
    }

    /// A `runtime-config.toml` that takes variables from this server.
    pub fn runtime_config(&self) -> String {
        let url = server::url(self.port);
        format!(
            "[[variables_provider]]\ntype = \"vault\"\nurl = \"{url}\"\ntoken = \"{TOKEN}\"\n\
             mount = \"secret\"\nprefix = \"edgelatch\"\n"
        )
    }
}

/// As in Vault's API:
/// <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version>.
async fn read(
    extract::State(state): extract::State<Arc<State>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    state.reads.fetch_add(1, Ordering::Relaxed);
    if headers
        .get("x-vault-token")
        .is_none_or(|token| token != TOKEN)
    {
        let errors = json!({"errors": ["permission denied"]});
        return (StatusCode::FORBIDDEN, Json(errors)).into_response();
    }
    let slow = state.slow.lock().unwrap().clone();
    if let Some((_, by)) = slow.filter(|(slow, _)| *slow == name) {
        tokio::time::sleep(by).await;
    }
    let value = state.secrets.lock().unwrap().get(&name).cloned();
    state.answers.fetch_add(1, Ordering::Relaxed);
    match value {
        Some(value) => Json(json!({
            "request_id": "1",
            "lease_id": "",
            "renewable": false,
            "lease_duration": 0,
            "data": {
                "data": {"value": value},
                "metadata": {
                    "created_time": "2026-01-01T00:00:00.0Z",
                    "custom_metadata": null,
                    "deletion_time": "",
                    "destroyed": false,
                    "version": 1,
                },
            },
            "wrap_info": null,
            "warnings": null,
            "auth": null,
        }))
        .into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"errors": []}))).into_response(),
    }
}
