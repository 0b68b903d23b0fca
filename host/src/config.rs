//! The configuration by the application and by the operator, checked before anything runs.

pub(crate) mod allowed_hosts;
pub(crate) mod manifest;
pub(crate) mod ranges;
pub(crate) mod runtime_config;
mod toml_reader;
mod variable_name;
pub(crate) mod variables;
