//! edgelatch: actions that never run twice at once for one user, leases, and a JSON cache, over
//! HTTP, as one WebAssembly component on [Spin](https://spinframework.dev) in front of Redis.
//!
//! There are two ways to build a service of your own on it. Both depend on this crate with
//! `default-features = false`, which leaves out this crate's own entry point.
//!
//! # The whole API with an action of your own
//!
//! [`service!`] makes the component's entry point: every route of this API, with your function as
//! the work under the lock. `examples/orders` is such a component.
//!
//! ```no_run
//! use edgelatch::action::{Action, ActionError, ActionResult};
//!
//! pub async fn run(action: Action<'_>) -> ActionResult {
//!     let amount: u64 = action.input_as()?;
//!     let receipt = serde_json::value::to_raw_value(&amount);
//!     Ok(Some(receipt.map_err(ActionError::internal)?))
//! }
//!
//! edgelatch::service!(run);
//! # fn main() {}
//! ```
//!
//! # A component of your own
//!
//! [`core::lock::Locks`] and [`core::cache::JsonCache`] work in any component. `examples/counter`
//! is such a component.
//!
//! ```no_run
//! # use std::sync::{Arc, LazyLock};
//! # use std::time::Duration;
//! # use edgelatch::core::cache::{CacheError, JsonCache};
//! # use edgelatch::core::lock::{LockError, Locks};
//! # use edgelatch::platform::redis::{Link, Redis};
//! # use edgelatch::types::{keys::Keys, name::Name, ttl::Ttl, user_id::UserId};
//! // One link for each instance of the component, one handle on it for each request.
//! static LINK: LazyLock<Arc<Link>> =
//!     LazyLock::new(|| Arc::new(Link::new("redis://127.0.0.1:6379/0")));
//!
//! async fn count(user: UserId, name: Name) -> Result<Result<u64, CacheError>, LockError> {
//!     let redis = Redis::new(Arc::clone(&LINK), Duration::from_secs(1));
//!     let (keys, ttl) = (Keys::new(""), Ttl::of_millis(10_000));
//!     let locks = Locks::new(redis.clone(), Duration::from_secs(60));
//!     let cache = JsonCache::new(redis, keys.clone());
//!     let work = |_fencing_token| async {
//!         let count = cache.get_as::<u64>(user, &name).await?.unwrap_or(0) + 1;
//!         cache.set_as(user, &name, &count, ttl).await?;
//!         Ok(count)
//!     };
//!     let lock = keys.user_lock(user);
//!     locks.with_lock(&lock, Duration::from_secs(5), ttl, work).await
//! }
//! ```
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

use std::rc::Rc;

use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

use action::{Action, ActionResult};

/// The SDK, in the version that this crate uses.
pub use spin_sdk;

/// Answers a request, with `action` as the work under the lock. [`action::run`] is the built-in
/// one.
///
/// # Errors
/// Where what the host hands over is no HTTP.
///
/// # Cancellation
/// Dropping the future gives back what the request holds, in the background.
pub async fn serve(
    request: Request,
    action: impl AsyncFn(Action<'_>) -> ActionResult + 'static,
) -> Result<Response, ErrorCode> {
    let request = http::wasi::request(request)?;
    http::wasi::response(http::serve(request, Rc::new(action)).await).await
}

/// Makes a component's entry point: [`serve`] with this action, a path of an `async fn` that takes
/// an [`Action`] and returns an [`ActionResult`]. A component has one entry point.
#[macro_export]
macro_rules! service {
    ($action:path) => {
        /// The component's entry point.
        #[cfg(target_family = "wasm")]
        const _: () = {
            use wasip3::http::types::{ErrorCode, Request, Response};
            use $crate::spin_sdk::wasip3;

            struct Component;

            wasip3::http::service::export!(Component);

            impl wasip3::exports::http::handler::Guest for Component {
                async fn handle(request: Request) -> Result<Response, ErrorCode> {
                    $crate::serve(request, $action).await
                }
            }
        };
    };
}

/// Keeps small blocks. A component that is built on this crate chooses for itself.
#[cfg(all(target_family = "wasm", feature = "component"))]
#[global_allocator]
static ALLOCATOR: platform::small_blocks::SmallBlocks = platform::small_blocks::SmallBlocks::new();

#[cfg(feature = "component")]
service!(action::run);
