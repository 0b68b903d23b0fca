//! The cases: each measures one thing and returns what it came to; none judges.

pub(crate) mod commands;
pub(crate) mod contention;
pub(crate) mod reading;
pub(crate) mod segments;
pub(crate) mod starts;
pub(crate) mod throughput;
pub(crate) mod waiters;
