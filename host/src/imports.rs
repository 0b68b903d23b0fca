//! What a component can import, one file per interface. Each holds the state of one instance.
//!
//! WASI itself (clocks, random, files, ...) is wasmtime's; `runtime` links it.

pub(crate) mod bindings;
pub(crate) mod outbound_http;
pub(crate) mod outbound_policy;
pub(crate) mod redis;
pub(crate) mod spans;
pub(crate) mod variables;
