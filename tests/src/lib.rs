//! What the tests stand on: a Redis of their own, the service in a process of its own, an origin that does as it is told, and a
//! client that looks at every answer.
//!
//! Nothing here knows the component's code: it is built, started and talked to as any user would.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

mod client;
mod origin;
mod output;
mod proxy;
mod redis;
mod service;
pub mod torture;
mod wait;

pub use client::{Answer, Call};
pub use origin::{Origin, Reply, Seen};
pub use proxy::{Held, Proxy, Weather};
pub use redis::RedisServer;
pub use service::{App, AppBuilder, Service, redis_host_of, root};
pub use wait::{until, within};
