//! What the host gives: Redis, the origin, settings, telemetry, time limits. This layer imports
//! `types` alone.

pub mod config;
pub(crate) mod long_work;
pub(crate) mod memory_budget;
pub(crate) mod origin;
pub mod redis;
pub mod request_deadline;
#[cfg(any(test, all(target_family = "wasm", feature = "component")))]
pub(crate) mod small_blocks;
pub(crate) mod telemetry;
pub mod time_limit;
