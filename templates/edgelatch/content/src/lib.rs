//! The edgelatch API with an action of its own. Every route is the crate's; the work under the lock
//! is in `action.rs`.

pub mod action;

edgelatch::service!(action::run);
