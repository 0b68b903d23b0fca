//! The promises of this service, without HTTP: actions under a lock, leases, the JSON cache,
//! readings from the origin. Errors are enums of this layer; `http` makes problems of them.

pub(crate) mod actions;
pub mod cache;
pub(crate) mod idempotency;
pub mod lock;
pub(crate) mod read_through;
pub(crate) mod readiness;
