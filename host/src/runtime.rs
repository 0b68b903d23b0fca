//! Runs components: compiles them, and makes, reuses and drops their instances.

pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod guest;
pub(crate) mod instances;
mod logs;
