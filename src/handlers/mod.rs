//! One file per resource. A handler reads like the contract's sentence for it: its parameters, then its work.

pub(crate) mod actions;
pub(crate) mod cache;
pub(crate) mod health;
pub(crate) mod locks;
mod path;
mod reply;
pub(crate) mod users;
