//! The variables: defaults, effect, and what is refused.

mod defaults;
mod effect;
mod login;
mod refused;
mod rotation;
mod token_rotation;
