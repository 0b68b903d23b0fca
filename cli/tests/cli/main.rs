//! The program `edgelatch` in use: real commands, the real service, a real Redis.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod answers;
mod canned;
mod completions;
mod entries;
mod hangs;
mod lock;
mod losses;
mod outages;
mod program;
mod proxies;
mod releases;
mod scripts;
mod secrets;
mod shell;
mod signals;
mod status;
mod terminal;
