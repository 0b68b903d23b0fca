//! A real origin that answers as it is told, and records what the service asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::server::{self, LocalServer};

/// What the origin answers.
#[derive(Clone)]
pub enum Reply {
    /// A status, a content type and a body.
    Plain(u16, &'static str, Bytes),
    /// A reply with one more header.
    Headed(&'static str, String, Box<Reply>),
    /// A reply after a pause.
    After(Duration, Box<Reply>),
    /// A reply that waits for [`Origin::release_one`].
    Gated(Box<Reply>),
}

impl Reply {
    /// 200 with JSON.
    pub fn json(body: &str) -> Self {
        Self::Plain(200, "application/json", Bytes::from(body.to_owned()))
    }

    /// This reply with one more header.
    #[must_use]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        Self::Headed(name, value.to_owned(), Box::new(self))
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Plain(status, "application/json", Bytes::from_static(b"{}"))
            .header("location", location)
    }

    /// A status with a JSON body.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Plain(status, "application/json", Bytes::from(body.to_owned()))
    }

    /// This reply, held back until [`Origin::release_one`].
    #[must_use]
    pub fn gated(self) -> Self {
        Self::Gated(Box::new(self))
    }

    /// This reply, after a pause.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        Self::After(pause, Box::new(self))
    }

    /// 204.
    pub fn nothing() -> Self {
        Self::Plain(204, "", Bytes::new())
    }
}

/// A request that the origin has received.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When it arrived.
    pub began: Instant,
    /// When it was answered. `None` while it is not.
    pub ended: Option<Instant>,
}

impl OriginRequest {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Its fencing token.
    pub fn fencing_token(&self) -> i64 {
        self.header("fencing-token").unwrap().parse().unwrap()
    }
}

struct Script {
    reply: Mutex<Reply>,
    requests: Mutex<Vec<OriginRequest>>,
    running: Mutex<HashMap<String, usize>>,
    overlaps: Mutex<usize>,
    gate: Semaphore,
}

impl Script {
    fn new(reply: Reply) -> Self {
        Self {
            reply: Mutex::new(reply),
            requests: Mutex::default(),
            running: Mutex::default(),
            overlaps: Mutex::default(),
            gate: Semaphore::new(0),
        }
    }
}

/// An HTTP server of a test's own on 127.0.0.1.
pub struct Origin {
    port: u16,
    script: Arc<Script>,
    /// `None` while it is stopped.
    server: Mutex<Option<LocalServer>>,
}

impl Origin {
    /// An origin that answers every request with `reply`.
    pub async fn start(reply: Reply) -> Self {
        let script = Arc::new(Script::new(reply));
        let server = LocalServer::start(|listener| serve(listener, Arc::clone(&script))).await;
        Self::new(script, server)
    }

    /// An origin that reads a request's head, writes these bytes as they are, and closes.
    pub async fn start_raw(bytes: &'static [u8]) -> Self {
        let server = LocalServer::start(|listener| write_bytes(listener, bytes, false)).await;
        Self::new(Arc::new(Script::new(Reply::nothing())), server)
    }

    /// An origin that reads a request's head, writes these bytes as they are, and then stalls.
    pub async fn start_stalling(bytes: &'static [u8]) -> Self {
        let server = LocalServer::start(|listener| write_bytes(listener, bytes, true)).await;
        Self::new(Arc::new(Script::new(Reply::nothing())), server)
    }

    fn new(script: Arc<Script>, server: LocalServer) -> Self {
        Self {
            port: server.port(),
            script,
            server: Mutex::new(Some(server)),
        }
    }

    /// Stops it. Its connections are cut, and new ones are refused.
    pub async fn stop(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Starts it again on its port.
    pub async fn restart(&self) {
        let serve = |listener| serve(listener, Arc::clone(&self.script));
        let server = LocalServer::start_at(self.port, serve).await;
        *self.server.lock().unwrap() = Some(server);
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        server::url(self.port)
    }

    /// Answers like this from now on.
    pub fn reply_with(&self, reply: Reply) {
        *self.script.reply.lock().unwrap() = reply;
    }

    /// Lets one request that is held back be answered.
    pub fn release_one(&self) {
        self.script.gate.add_permits(1);
    }

    /// All requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<OriginRequest> {
        self.script.requests.lock().unwrap().clone()
    }

    /// Waits for this many requests.
    pub async fn until_seen(&self, count: usize) -> Vec<OriginRequest> {
        crate::until("the origin was asked", || async {
            self.seen().len() >= count
        })
        .await;
        self.seen()
    }

    /// How often a request arrived while another one for the same user was being answered.
    pub fn overlaps(&self) -> usize {
        *self.script.overlaps.lock().unwrap()
    }
}

/// Serves until it is aborted, which ends all of its connections.
async fn serve(listener: TcpListener, script: Arc<Script>) {
    let router = axum::Router::new().fallback(answer).with_state(script);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Writes these bytes on every connection that sends something. Then it closes the connection, or
/// keeps it open.
async fn write_bytes(listener: TcpListener, bytes: &'static [u8], keep_open: bool) {
    let mut open = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(bytes).await;
        if keep_open {
            open.push(stream);
        }
    }
}

/// Records that a request for a user has ended, in whatever way.
struct Running<'a>(&'a Script, String, usize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Self(script, user, index) = self;
        *script
            .running
            .lock()
            .unwrap()
            .entry(user.clone())
            .or_default() -= 1;
        script.requests.lock().unwrap()[*index].ended = Some(Instant::now());
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let noted = OriginRequest {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body,
        began: Instant::now(),
        ended: None,
    };
    let user = noted.header("x-user-id").unwrap_or_default().to_owned();
    let _running = begin(&script, user, noted);
    let mut reply = script.reply.lock().unwrap().clone();
    let mut headers = Vec::new();
    loop {
        reply = match reply {
            Reply::After(pause, reply) => {
                tokio::time::sleep(pause).await;
                *reply
            }
            Reply::Gated(reply) => {
                script.gate.acquire().await.unwrap().forget();
                *reply
            }
            Reply::Headed(name, value, reply) => {
                headers.push((name, value));
                *reply
            }
            Reply::Plain(status, content_type, body) => {
                let mut response = plain(status, content_type, body);
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                return response;
            }
        };
    }
}

fn begin(script: &Script, user: String, request: OriginRequest) -> Running<'_> {
    let mut running = script.running.lock().unwrap();
    let count = running.entry(user.clone()).or_default();
    *count += 1;
    if *count > 1 {
        *script.overlaps.lock().unwrap() += 1;
    }
    let mut all = script.requests.lock().unwrap();
    all.push(request);
    Running(script, user, all.len() - 1)
}

fn plain(status: u16, content_type: &str, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if !content_type.is_empty() {
        let headers = response.headers_mut();
        headers.insert("content-type", content_type.parse().unwrap());
    }
    response
}
