//! A cache entry that one client computes while the others wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;

use super::registers::ENTRY_LIVES;
use super::{Details, REDIS_TIMEOUT, Response, TortureClient};
use crate::torture::history::{Condition, Effect, Verb};
use crate::torture::plan::{ComputeEnd, Task};

impl TortureClient {
    /// Reads an entry. Computes it where that is this client's task, and removes it where it is
    /// there, so that it is computed again.
    pub(super) async fn compute(&mut self, task: Task, work: Duration, end: ComputeEnd) {
        let number = self.run.answered.load(Ordering::Relaxed) / ENTRY_LIVES;
        let path = format!("/api/v1/users/{}/cache/computed-{number}", task.user);
        let (compute, timeout) = (task.expire.as_secs_f64(), task.timeout.as_secs_f64());
        let query = format!("{path}?compute={compute}&timeout={timeout}");
        let request = self.request(Method::GET, task.service, &query);
        let details = Details::of_entry(&path, None);
        let limit = task.timeout + REDIS_TIMEOUT;
        let response = self
            .send_with(request, Verb::Compute, task, limit, details)
            .await;
        let found = match response.answer.as_deref() {
            Some("200") => response.body.as_u64(),
            Some("404 compute-granted" | "423 lock-held") => None,
            _ => return,
        };
        self.note_access(&path, &response, Effect::Find(found), Some(true));
        if found.is_some() {
            self.remove(task, &path).await;
        } else if let Some(token) = response.compute_token.as_deref() {
            tokio::time::sleep(work).await;
            self.end_task(task, &path, &response, token, end).await;
        }
    }

    async fn end_task(
        &mut self,
        task: Task,
        path: &str,
        granted: &Response,
        token: &str,
        end: ComputeEnd,
    ) {
        // Over the other service.
        let task = Task {
            service: 1 - task.service,
            ..task
        };
        let details = Details::of_entry(path, Some(&granted.id));
        let (method, verb) = match end {
            ComputeEnd::Store => (Method::PUT, Verb::Store),
            ComputeEnd::GiveUp => (Method::DELETE, Verb::GiveUp),
            ComputeEnd::Vanish => return,
        };
        let mut request = self.request(method, task.service, path);
        request = request.header("compute-token", token);
        // No value is written twice.
        let value = self.number << 32 | self.sent;
        if verb == Verb::Store {
            request = request.json(&value);
        }
        let response = self
            .send_with(request, verb, task, REDIS_TIMEOUT, details)
            .await;
        let done = match response.answer.as_deref() {
            Some("200" | "201") => Some(true),
            _ if response.is_ambiguous() => None,
            // Nothing was stored.
            _ => return,
        };
        if verb == Verb::Store {
            let effect = Effect::Set(Some(value), Condition::Always);
            self.note_access(path, &response, effect, done);
        }
    }

    async fn remove(&mut self, task: Task, path: &str) {
        let request = self.request(Method::DELETE, task.service, path);
        let response = self
            .send(request, Verb::CacheDelete, task, REDIS_TIMEOUT)
            .await;
        let done = response.is("204").then_some(true);
        let effect = Effect::Set(None, Condition::Always);
        self.note_access(path, &response, effect, done);
    }
}
