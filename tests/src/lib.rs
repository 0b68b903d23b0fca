//! The tools of the tests: a Redis server, the service in its own process, an origin that answers
//! as it is told, and a client that checks every answer.
//!
//! Nothing here knows the component's code. The component is built, started and called like any
//! user's.

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
mod process;
mod proxy;
pub mod public_items;
mod raw;
mod redis;
mod runner;
mod server;
mod service;
pub mod soak;
mod tokens;
pub mod torture;
mod vault;
mod wait;

pub use browser::Browser;
pub use client::{Answer, Call};
pub use cluster::RedisCluster;
pub use collector::{Collector, Span};
pub use counting_origin::CountingOrigin;
pub use fake_redis::{Behaviour, FakeRedis};
pub use fastapi::FastApi;
pub use launch::manifest_with_spans;
pub use monitor::Monitor;
pub use origin::{Origin, OriginRequest, Reply};
pub use pace::Pace;
pub use process::stop;
pub use proxy::{HeldCommand, Loss, Network, Proxy};
pub use raw::{RawAnswer, raw, raw_then_hang_up};
pub use redis::RedisServer;
pub use runner::{START_LIMIT, on_spin, refusal, up};
pub use service::{App, AppBuilder, Service, redis_host_of, root};
pub use vault::Vault;
pub use wait::{until, within};
