//! A client: runs its tasks, one after the other, and records the answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::history::{LeaseInterval, Operation, Verb};
use super::plan::{Task, TaskKind, Workload};
use super::{REDIS_TIMEOUT, Run};

/// What a busy machine may take beyond the contract's limits.
const SLACK: Duration = Duration::from_secs(3);

/// When a client stops waiting for an answer.
const GIVE_UP: Duration = Duration::from_secs(30);

/// How often a client requests a lease with the same token, if the answer is ambiguous.
const TRIES: usize = 3;

struct TortureClient {
    run: Arc<Run>,
    number: u64,
    sent: u64,
    http: Client,
}

/// Runs tasks until the run is over.
pub(super) async fn run(run: Arc<Run>, number: u64) {
    let http = Client::builder().no_proxy().timeout(GIVE_UP);
    let mut client = TortureClient {
        http: http.build().unwrap(),
        number,
        sent: 0,
        run,
    };
    for task in Workload::new(client.run.options.seed, number) {
        if !client.run.is_running() {
            return;
        }
        client.run_task(task).await;
    }
}

/// The parts of an answer that a client needs.
struct Response {
    /// It was requested only once.
    first: bool,
    /// Status and slug. `None` without an answer.
    answer: Option<String>,
    fencing_token: Option<i64>,
    id: String,
    sent: Duration,
    answered: Duration,
}

impl Response {
    fn is(&self, answer: &str) -> bool {
        self.answer.as_deref() == Some(answer)
    }

    /// Whether the request may or may not have been carried out.
    fn is_ambiguous(&self) -> bool {
        let answer = self.answer.as_deref();
        answer.is_none_or(|answer| answer.starts_with("503"))
    }
}

impl TortureClient {
    async fn run_task(&mut self, task: Task) {
        match task.kind {
            TaskKind::Perform(work) => self.act(task, Verb::Perform, work).await,
            TaskKind::Attempt(work) => self.act(task, Verb::Attempt, work).await,
            TaskKind::Lease {
                hold,
                renewals,
                release,
            } => self.lease(task, hold, renewals, release).await,
            TaskKind::Read => {
                let path = format!("/api/v1/users/{}/cache/last-action", task.user);
                let request = self.request(Method::GET, task.service, &path);
                let limit = REDIS_TIMEOUT;
                self.send(request, Verb::Read, task, limit, None).await;
            }
        }
    }

    async fn act(&mut self, task: Task, verb: Verb, work: Duration) {
        let (user, expire) = (task.user, task.expire.as_secs_f64());
        let (mut path, mut limit) = (String::from("/api/v1/users/attempt-action"), Duration::ZERO);
        if verb == Verb::Perform {
            path = String::from("/api/v1/users/perform-action");
            limit = task.timeout;
        }
        path += &format!("?user_id={user}&expire={expire}");
        if verb == Verb::Perform {
            path += &format!("&timeout={}", task.timeout.as_secs_f64());
        }
        let body = json!({"work_ms": work.as_millis() as u64});
        let request = self.request(Method::POST, task.service, &path).json(&body);
        // To acquire, and to commit or to release.
        limit += work + 2 * REDIS_TIMEOUT;
        let response = self.send(request, verb, task, limit, None).await;
        if response.answer.is_some() {
            self.run.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn lease(&mut self, task: Task, hold: Duration, renewals: u64, release: bool) {
        let seed = self.run.options.seed;
        let token = format!("torture-{seed}-{}-{:06}", self.number, self.sent);
        let path = format!("/api/v1/users/{}/lock", task.user);
        let expire = format!("expire={}", task.expire.as_secs_f64());
        let timeout = task.timeout.as_secs_f64();
        let Some(granted) = self
            .acquire(task, &token, &format!("{path}?{expire}&timeout={timeout}"))
            .await
        else {
            return;
        };
        let lease = granted.first.then_some(granted.id.as_str());
        let mut service = task.service;
        for _ in 0..renewals {
            tokio::time::sleep(hold).await;
            service = 1 - service;
            let request = self.request(Method::PUT, service, &format!("{path}?{expire}"));
            let request = request.header("lock-token", &token);
            let task = Task { service, ..task };
            let renewed = self
                .send(request, Verb::Renew, task, REDIS_TIMEOUT, lease)
                .await;
            if renewed.fencing_token != granted.fencing_token {
                if renewed.is_ambiguous() {
                    continue;
                }
                // The lease is lost. A release now must not touch the next holder.
                break;
            }
            self.note_interval(&granted, task.user, renewed.sent);
        }
        if release {
            tokio::time::sleep(hold).await;
            let request = self.request(Method::DELETE, service, &path);
            let request = request.header("lock-token", &token);
            let task = Task { service, ..task };
            self.send(request, Verb::Release, task, REDIS_TIMEOUT, lease)
                .await;
        }
    }

    /// Requests a lease, again with the same token if the answer is ambiguous.
    async fn acquire(&mut self, task: Task, token: &str, path: &str) -> Option<Response> {
        for again in 0..TRIES {
            let service = (task.service + again) % 2;
            let request = self.request(Method::POST, service, path);
            let request = request.header("lock-token", token);
            let limit = task.timeout + REDIS_TIMEOUT;
            let task = Task { service, ..task };
            let mut response = self.send(request, Verb::Acquire, task, limit, None).await;
            response.first = again == 0;
            if response.is("200") || response.is("201") {
                return Some(response);
            }
            if !response.is_ambiguous() {
                return None;
            }
        }
        None
    }

    fn note_interval(&self, granted: &Response, user: u64, until: Duration) {
        let interval = LeaseInterval {
            id: granted.id.clone(),
            user,
            fencing_token: granted.fencing_token.unwrap_or_default(),
            from: granted.answered,
            to: until,
        };
        self.run
            .recorder
            .note(|history| history.lease_intervals.push(interval));
    }

    fn request(&self, method: Method, service: usize, path: &str) -> RequestBuilder {
        let address = &self.run.addresses[service];
        self.http.request(method, format!("http://{address}{path}"))
    }

    async fn send(
        &mut self,
        request: RequestBuilder,
        verb: Verb,
        task: Task,
        limit: Duration,
        lease: Option<&str>,
    ) -> Response {
        self.sent += 1;
        let id = format!("{}-{}", self.number, self.sent);
        let sent = self.run.recorder.now();
        let (answer, fencing_token) = exchange(request.header("x-request-id", &id)).await;
        let answered = self.run.recorder.now();
        let operation = Operation {
            id: id.clone(),
            verb,
            user: task.user,
            service: task.service,
            sent,
            answered,
            answer: answer.clone(),
            fencing_token,
            lease: lease.map(str::to_owned),
            limit: limit + SLACK,
        };
        self.run
            .recorder
            .note(|history| history.operations.push(operation));
        if answer.is_none() {
            // The service is down. Another request at once would only be noise.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Response {
            first: true,
            answer,
            fencing_token,
            id,
            sent,
            answered,
        }
    }
}

/// Sends a request. Returns status and slug, and the fencing token. `None` without an answer.
async fn exchange(request: RequestBuilder) -> (Option<String>, Option<i64>) {
    let Ok(response) = request.send().await else {
        return (None, None);
    };
    let status = response.status().as_u16();
    let header = response.headers().get("fencing-token").cloned();
    let Ok(body) = response.bytes().await else {
        return (None, None);
    };
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = header.and_then(|value| value.to_str().ok()?.parse().ok());
    let fencing_token = header.or(json["fencing_token"].as_i64());
    let kind = json["type"].as_str().unwrap_or_default();
    let answer = match kind.strip_prefix("urn:edgelatch:") {
        Some(slug) => format!("{status} {slug}"),
        None if json["status"] == "failed" => format!("{status} failed"),
        None => status.to_string(),
    };
    (Some(answer), fencing_token)
}
