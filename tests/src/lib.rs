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

mod browser;
mod client;
mod cluster;
mod collector;
mod counting_origin;
mod fake_redis;
mod fastapi;
pub mod imports;
mod launch;
mod monitor;
mod origin;
mod output;
mod pace;
mod proxy;
mod raw;
mod redis;
mod runner;
mod service;
pub mod soak;
pub mod torture;
mod vault;
mod wait;

pub use browser::Browser;
pub use client::{Answer, Call};
pub use cluster::RedisCluster;
pub use collector::{Collector, Span};
pub use counting_origin::CountingOrigin;
pub use fake_redis::{Behaviour, FakeRedis, Loss};
pub use fastapi::FastApi;
pub use launch::manifest_with_spans;
pub use monitor::Monitor;
pub use origin::{Origin, Reply, Seen};
pub use pace::Pace;
pub use proxy::{Held, Proxy, Weather};
pub use raw::{RawAnswer, raw, raw_then_hang_up};
pub use redis::RedisServer;
pub use runner::{on_spin, refusal};
pub use service::{App, AppBuilder, Service, redis_host_of, root};
pub use vault::Vault;
pub use wait::{until, within};
