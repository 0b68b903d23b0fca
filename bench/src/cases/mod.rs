//! The cases. Each measures one thing and returns the result. None judges it.

pub(crate) mod commands;
pub(crate) mod contention;
pub(crate) mod segments;
pub(crate) mod starts;
pub(crate) mod throughput;
pub(crate) mod waiters;
