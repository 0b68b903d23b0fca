//! A client: runs its tasks, one after the other, and records the answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::history::{History, LeaseInterval, Operation, Verb};
use super::plan::{ABANDONED_EXPIRE, KEYED_EXPIRE, Task, TaskKind, Workload};
use super::{BESIEGERS, REDIS_TIMEOUT, Run};
use exchange::{Exchange, exchange};

mod computing;
mod exchange;
mod registers;

/// What a busy machine may take beyond the contract's limits.
const SLACK: Duration = Duration::from_secs(3);

/// When a client stops waiting for an answer.
const GIVE_UP: Duration = Duration::from_secs(30);

/// How often a client requests a lease with the same token, if the answer is ambiguous.
const TRIES: usize = 3;

/// How often a client gives back a lease with a long time to live, if the answer is ambiguous.
const GIVE_BACK_TRIES: usize = 100;

/// How many actions are answered until clients use another `Idempotency-Key`.
const KEY_LIVES: u64 = 400;

struct TortureClient {
    run: Arc<Run>,
    number: u64,
    sent: u64,
    http: Client,
    /// What it read last of each cache entry: the value and its entity tag.
    read: HashMap<String, (u64, String)>,
}

/// Runs tasks until the run is over.
pub(super) async fn run(run: Arc<Run>, number: u64) {
    let http = Client::builder().no_proxy().timeout(GIVE_UP);
    let mut client = TortureClient {
        http: http.build().unwrap(),
        number,
        sent: 0,
        run,
        read: HashMap::new(),
    };
    let besieges = number < BESIEGERS;
    for task in Workload::new(client.run.options.seed, number, besieges) {
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
    /// The token of a lease.
    token: Option<String>,
    /// The body, and its entity tag.
    body: Value,
    etag: Option<String>,
    compute_token: Option<String>,
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
            TaskKind::Perform(work) => self.act(task, Verb::Perform, work, None).await,
            TaskKind::Attempt(work) => self.act(task, Verb::Attempt, work, None).await,
            TaskKind::Keyed { waits } => {
                let number = self.run.answered.load(Ordering::Relaxed) / KEY_LIVES;
                let key = format!("key-{number}");
                let verb = if waits { Verb::Perform } else { Verb::Attempt };
                let task = Task {
                    expire: KEYED_EXPIRE,
                    ..task
                };
                self.act(task, verb, Duration::ZERO, Some(key)).await;
            }
            TaskKind::Lease {
                hold,
                renewals,
                release,
            } => self.lease(task, hold, renewals, release).await,
            TaskKind::Abandon(after) => self.abandon(task, after).await,
            TaskKind::Read => {
                let path = format!("/api/v1/users/{}/cache/last-action", task.user);
                let request = self.request(Method::GET, task.service, &path);
                self.send(request, Verb::Read, task, REDIS_TIMEOUT).await;
            }
            TaskKind::Register(access) => self.access(task, access).await,
            TaskKind::Compute { work, end } => self.compute(task, work, end).await,
        }
    }

    async fn act(&mut self, task: Task, verb: Verb, work: Duration, key: Option<String>) {
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
        let mut request = self.request(Method::POST, task.service, &path).json(&body);
        if let Some(key) = &key {
            request = request.header("idempotency-key", key);
        }
        // To acquire, and to commit or to release.
        limit += work + 2 * REDIS_TIMEOUT;
        let details = Details { lease: None, key };
        let response = self.send_with(request, verb, task, limit, details).await;
        if response.answer.is_some() {
            self.run.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests a lease without a token, and hangs up. Gives the lease back if it was faster.
    async fn abandon(&mut self, task: Task, after: Duration) {
        let path = format!("/api/v1/users/{}/lock", task.user);
        let (timeout, expire) = (task.timeout.as_secs_f64(), ABANDONED_EXPIRE.as_secs_f64());
        let query = format!("{path}?expire={expire}&timeout={timeout}");
        let task = Task {
            expire: ABANDONED_EXPIRE,
            ..task
        };
        let request = self.request(Method::POST, task.service, &query);
        // Its own connection, which is closed with it.
        let http = Client::builder().no_proxy().build().unwrap();
        let (request, pending) = self.begin(request, Verb::Abandon, task, after);
        let exchange = exchange(&http, request);
        let Ok(exchange) = tokio::time::timeout(after, exchange).await else {
            drop(http);
            self.end(pending, Exchange::default());
            return;
        };
        if let Some(token) = &exchange.token {
            let token = token.clone();
            let note = |history: &mut History| history.received.push(token);
            self.run.recorder.note(note);
        }
        let mut pending = pending;
        pending.verb = Verb::Acquire;
        pending.limit = task.timeout + REDIS_TIMEOUT + SLACK;
        let granted = self.end(pending, exchange);
        let Some(token) = granted.token.clone() else {
            return;
        };
        // Until it is given back.
        for _ in 0..GIVE_BACK_TRIES {
            let request = self.request(Method::DELETE, task.service, &path);
            let request = request.header("lock-token", &token);
            let details = Details::of_lease(Some(&granted.id));
            let release = self
                .send_with(request, Verb::Release, task, REDIS_TIMEOUT, details)
                .await;
            if !release.is_ambiguous() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
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
            let details = Details::of_lease(lease);
            let renewed = self
                .send_with(request, Verb::Renew, task, REDIS_TIMEOUT, details)
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
            let details = Details::of_lease(lease);
            self.send_with(request, Verb::Release, task, REDIS_TIMEOUT, details)
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
            let mut response = self.send(request, Verb::Acquire, task, limit).await;
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
    ) -> Response {
        let details = Details::default();
        self.send_with(request, verb, task, limit, details).await
    }

    async fn send_with(
        &mut self,
        request: RequestBuilder,
        verb: Verb,
        task: Task,
        limit: Duration,
        details: Details,
    ) -> Response {
        let (request, mut pending) = self.begin(request, verb, task, limit);
        (pending.lease, pending.key) = (details.lease, details.key);
        let exchange = exchange(&self.http, request).await;
        let response = self.end(pending, exchange);
        if response.answer.is_none() {
            // The service is down. Another request at once would only be noise.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        response
    }

    /// What is known of a request that is about to be sent.
    fn begin(
        &mut self,
        request: RequestBuilder,
        verb: Verb,
        task: Task,
        limit: Duration,
    ) -> (RequestBuilder, Operation) {
        self.sent += 1;
        let id = format!("{}-{}", self.number, self.sent);
        let request = request.header("x-request-id", &id);
        let now = self.run.recorder.now();
        let operation = Operation {
            id,
            verb,
            user: task.user,
            service: task.service,
            sent: now,
            answered: now,
            answer: None,
            fencing_token: None,
            lease: None,
            expire: task.expire,
            key: None,
            limit: limit + SLACK,
        };
        (request, operation)
    }

    /// Records what came of a request.
    fn end(&self, pending: Operation, exchange: Exchange) -> Response {
        let operation = Operation {
            answered: self.run.recorder.now(),
            answer: exchange.answer,
            fencing_token: exchange.fencing_token,
            ..pending
        };
        let response = Response {
            first: true,
            answer: operation.answer.clone(),
            fencing_token: operation.fencing_token,
            token: exchange.token,
            body: exchange.body,
            etag: exchange.etag,
            compute_token: exchange.compute_token,
            id: operation.id.clone(),
            sent: operation.sent,
            answered: operation.answered,
        };
        self.run
            .recorder
            .note(|history| history.operations.push(operation));
        response
    }
}

/// What belongs to some requests only.
#[derive(Default)]
struct Details {
    /// The request that acquired the lease, or was given the task to compute.
    lease: Option<String>,
    /// The `Idempotency-Key`, or the entry that is computed.
    key: Option<String>,
}

impl Details {
    fn of_entry(entry: &str, granted: Option<&str>) -> Self {
        Self {
            lease: granted.map(str::to_owned),
            key: Some(entry.to_owned()),
        }
    }

    fn of_lease(lease: Option<&str>) -> Self {
        Self {
            lease: lease.map(str::to_owned),
            key: None,
        }
    }
}
