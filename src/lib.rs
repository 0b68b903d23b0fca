//! edgelatch: actions that never run twice at once for one user, leases, and a JSON cache, over HTTP, as one WebAssembly
//! component on [Spin](https://spinframework.dev) in front of Redis.
//!
//! To build a service of your own on it, replace [`action`], or use [`lock::Locks`] and [`json_cache::JsonCache`] from a
//! component of yours:
//!
//! ```text
//! let link = Arc::new(Link::new("redis://127.0.0.1:6379/0"));        // one per instance: keep it in a static
//! let redis = Redis::new(link, Duration::from_secs(1));             // one per request
//! let locks = Locks::new(redis, Duration::from_secs(60));
//! let key = Keys::new("").user_lock(UserId::new(42));
//! let ttl = Ttl::of_millis(10_000);
//! let done = locks.with_lock(&key, Duration::from_secs(5), ttl, |fencing_token| work(fencing_token)).await?;
//! ```
//!
//! Such a component depends on this crate with `default-features = false`, which leaves this one's entry point out, and needs the
//! feature `inter-task-wakeup` of `wit-bindgen`, as this one's Cargo.toml says.
//!
//! From request to Redis it is three hops: [`edge`] and [`router`], a handler, [`lock`] or [`json_cache`], and then
//! [`redis`]. ARCHITECTURE.md has the map.

pub mod action;
pub mod answer;
mod backoff;
mod body;
mod cache_control;
pub mod config;
mod edge;
pub mod etag;
#[cfg(test)]
mod fuzz;
mod handlers;
mod idempotency;
mod instance;
mod json;
pub mod json_cache;
pub mod keys;
pub mod lock;
pub mod log;
mod merge_patch;
#[cfg(not(target_family = "wasm"))]
pub mod openapi;
mod origin;
pub mod problem;
mod query;
mod random;
mod read_through;
pub mod redis;
pub mod redis_error;
pub mod request;
mod router;
pub mod seconds;
mod telemetry;
pub mod time_limit;
pub mod wasi_http;

use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

/// Answers a request.
///
/// # Errors
/// Where what the host hands over is no HTTP.
///
/// # Cancellation
/// Dropping the future gives back what the request holds, in the background.
pub async fn handle(request: Request) -> Result<Response, ErrorCode> {
    let request = wasi_http::request(request)?;
    wasi_http::response(edge::serve(request).await).await
}

/// The component's entry point.
#[cfg(all(target_family = "wasm", feature = "component"))]
mod component {
    use super::{ErrorCode, Request, Response, handle};

    struct Component;

    spin_sdk::wasip3::http::service::export!(Component);

    impl spin_sdk::wasip3::exports::http::handler::Guest for Component {
        async fn handle(request: Request) -> Result<Response, ErrorCode> {
            handle(request).await
        }
    }
}
