//! The cases. Each measures one thing and returns the result. None judges it.

pub(crate) mod commands;
pub(crate) mod contention;
pub(crate) mod distance;
pub(crate) mod hand_over;
pub(crate) mod leases;
pub(crate) mod open_loop;
pub(crate) mod reading;
pub(crate) mod secured;
pub(crate) mod segments;
pub(crate) mod starts;
pub(crate) mod throughput;
pub(crate) mod waiter;
pub(crate) mod waiters;
