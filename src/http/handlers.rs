//! One file per resource. A handler parses, calls one function of `core`, and answers.

pub(crate) mod actions;
pub(crate) mod cache;
pub(crate) mod health;
pub(crate) mod locks;
pub(crate) mod users;
