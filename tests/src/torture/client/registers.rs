//! Cache entries that several clients read and write at the same time.

use std::sync::atomic::Ordering;

use reqwest::{Method, RequestBuilder};

use super::{REDIS_TIMEOUT, Response, TortureClient};
use crate::torture::history::{Condition, Effect, RegisterOperation, Verb};
use crate::torture::plan::{Access, Task};

/// How many actions are answered until clients use another entry.
pub(super) const ENTRY_LIVES: u64 = 2000;

impl TortureClient {
    /// One access to the entry that is in use now.
    pub(super) async fn access(&mut self, task: Task, access: Access) {
        let number = self.run.answered.load(Ordering::Relaxed) / ENTRY_LIVES;
        let path = format!("/api/v1/users/{}/cache/register-{number}", task.user);
        let request = |client: &Self, method| client.request(method, task.service, &path);
        let last = self.read.get(&path).cloned();
        // No value is written twice.
        let value = self.number << 32 | self.sent;
        let put = |client: &Self| request(client, Method::PUT).json(&value);
        match (access, last) {
            (Access::Write, _) => {
                let effect = Effect::Set(Some(value), Condition::Always);
                self.write(put(self), task, &path, effect).await;
            }
            (Access::Create, _) => {
                let put = put(self).header("if-none-match", "*");
                let effect = Effect::Set(Some(value), Condition::Absent);
                self.write(put, task, &path, effect).await;
            }
            (Access::Swap, Some((read, etag))) => {
                let put = put(self).header("if-match", etag);
                let effect = Effect::Set(Some(value), Condition::Is(read));
                self.write(put, task, &path, effect).await;
            }
            (Access::Remove, Some((read, etag))) => {
                let delete = request(self, Method::DELETE).header("if-match", etag);
                let effect = Effect::Set(None, Condition::Is(read));
                self.write(delete, task, &path, effect).await;
            }
            (Access::Read | Access::Swap | Access::Remove, _) => {
                let get = request(self, Method::GET);
                let response = self.send(get, Verb::CacheGet, task, REDIS_TIMEOUT).await;
                self.note_read(path, response);
            }
        }
    }

    fn note_read(&mut self, path: String, response: Response) {
        let found = match response.answer.as_deref() {
            Some("200") => response.body.as_u64(),
            Some("404 not-found") => None,
            // It tells nothing.
            _ => return,
        };
        self.note_access(&path, &response, Effect::Find(found), Some(true));
        match found.zip(response.etag) {
            Some(read) => self.read.insert(path, read),
            None => self.read.remove(&path),
        };
    }

    async fn write(&mut self, request: RequestBuilder, task: Task, path: &str, effect: Effect) {
        let verb = match effect {
            Effect::Set(None, _) => Verb::CacheDelete,
            _ => Verb::CachePut,
        };
        let response = self.send(request, verb, task, REDIS_TIMEOUT).await;
        let done = match response.answer.as_deref() {
            Some("200" | "201" | "204") => Some(true),
            Some("412 precondition-failed") => Some(false),
            _ => None,
        };
        self.note_access(path, &response, effect, done);
        let written = match effect {
            Effect::Set(Some(value), _) if done == Some(true) => Some(value),
            _ => None,
        };
        if let Some(read) = written.zip(response.etag) {
            self.read.insert(path.to_owned(), read);
        }
    }

    pub(super) fn note_access(
        &self,
        path: &str,
        response: &Response,
        effect: Effect,
        done: Option<bool>,
    ) {
        let operation = RegisterOperation {
            id: response.id.clone(),
            register: path.to_owned(),
            sent: response.sent,
            answered: response.answered,
            effect,
            done,
        };
        let note = |history: &mut crate::torture::history::History| {
            history.registers.push(operation);
        };
        self.run.recorder.note(note);
    }
}
