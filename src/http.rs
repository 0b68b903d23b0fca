//! What knows HTTP: routes, handlers, reading requests, answers and problems, the access log, the
//! OpenAPI document. This layer imports all others and is imported by none.

mod access_log;
mod auth;
mod common_headers;
mod handlers;
#[cfg(not(target_family = "wasm"))]
pub mod openapi;
pub mod problem;
mod replies;
pub mod request;
mod request_head;
pub mod response;
mod routes;
#[cfg(not(target_family = "wasm"))]
mod schemas;
mod serve;
pub(crate) mod wasi;

pub use access_log::AccessLog;
pub use request_head::RequestHead;
pub(crate) use serve::serve;
