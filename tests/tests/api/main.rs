//! The contract, sentence by sentence, over HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod actions;
mod auth;
mod cache;
mod cluster;
mod config;
mod contention;
mod conventions;
mod docs;
mod exposure;
mod fastapi;
mod health;
mod host;
mod idempotency;
mod late_calls;
mod leases;
mod library;
mod live;
mod load;
mod lock;
mod log;
mod openapi;
mod origin;
mod read_through;
mod readme;
mod redis_faults;
mod request_limit;
mod spans;
mod user_ids;
