//! edgelatch: actions that never run twice at once for one user, leases, and a JSON cache, over
//! HTTP, as one WebAssembly component on [Spin](https://spinframework.dev) in front of Redis.
//!
//! To build a service of your own on it, replace [`action`], or use [`core::lock::Locks`] and
//! [`core::cache::JsonCache`] from a component of yours:
//!
//! ```text
//! // One link per instance: keep it in a static. One handle per request.
//! let link = Arc::new(Link::new("redis://127.0.0.1:6379/0"));
//! let redis = Redis::new(link, Duration::from_secs(1));
//! let locks = Locks::new(redis, Duration::from_secs(60));
//! let key = Keys::new("").user_lock(UserId::new(42));
//! let ttl = Ttl::of_millis(10_000);
//! let work = |fencing_token| charge(fencing_token);
//! let receipt = locks.with_lock(&key, Duration::from_secs(5), ttl, work).await?;
//! ```
//!
//! Such a component depends on this crate with `default-features = false`, which leaves out this
//! crate's entry point, and needs the feature `inter-task-wakeup` of `wit-bindgen`, as Cargo.toml
//! says.
//!
//! The layers are [`http`], [`core`], [`platform`] and [`types`]: an import only ever points down.
//! ARCHITECTURE.md has the picture.

pub mod action;
pub mod core;
#[cfg(test)]
mod fuzz;
pub mod http;
mod instance;
pub mod platform;
pub mod types;

use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

/// Answers a request.
///
/// # Errors
/// Where what the host hands over is no HTTP.
///
/// # Cancellation
/// Dropping the future gives back what the request holds, in the background.
pub async fn handle(request: Request) -> Result<Response, ErrorCode> {
    let request = http::wasi::request(request)?;
    http::wasi::response(http::serve(request).await).await
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
