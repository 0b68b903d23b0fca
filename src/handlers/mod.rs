//! One file per resource. A handler reads like the contract's sentence for it: its parameters, then its work.

pub(crate) mod actions;
pub(crate) mod health;
mod reply;
