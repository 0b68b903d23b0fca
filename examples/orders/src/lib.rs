//! The edgelatch API with an action of its own: `perform-action` charges an order to the user's
//! ledger and returns a receipt.
//!
//! Every route of the API is there. What is different is in `action.rs`, and the name and the
//! source of the component in `spin.toml`.

pub mod action;
mod ledger;

edgelatch::service!(action::run);
