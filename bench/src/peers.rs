//! The peers that are compared, and what runs the components among them.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// What runs the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runner {
    /// The host of this project
    Host,
    /// `spin` from PATH, or from SPIN_BIN
    Spin,
}

/// One of the compared servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// This project's component.
    Service,
    /// The least component, on the same runner.
    Least,
    /// The least component with the service's scripts and headers.
    Scripted,
    /// axum and redis-rs without WebAssembly.
    Native,
    /// The design of the original service.
    Fastapi,
    /// An HTTP interface to Redis. It caches, and has no actions.
    Webdis,
    /// A store with leases of its own, and without Redis.
    Etcd,
}

impl Peer {
    /// The peers of most cases.
    pub(crate) const ALL: [Self; 4] = [Self::Service, Self::Least, Self::Native, Self::Fastapi];

    /// The peers that are components.
    pub(crate) const COMPONENTS: [Self; 2] = [Self::Service, Self::Least];

    /// The peers that show which part of the distance to the least component the contract costs.
    pub(crate) const SCRIPTS: [Self; 3] = [Self::Service, Self::Least, Self::Scripted];

    /// The request that shows whether it serves.
    pub(crate) fn health(self) -> &'static str {
        match self {
            Self::Webdis => "/PING",
            Self::Etcd => "/health",
            _ => "/healthz",
        }
    }

    /// The request that stores a value for a user.
    pub(crate) fn path_to_put(self, user: &str) -> String {
        match self {
            Self::Webdis => format!("/SETEX/user:{user}:bench/3600"),
            _ => format!("/api/v1/users/{user}/cache/bench"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Service => "edgelatch",
            Self::Least => "least component",
            Self::Scripted => "least, with the service's scripts",
            Self::Native => "native axum",
            Self::Fastapi => "FastAPI",
            Self::Webdis => "webdis",
            Self::Etcd => "etcd",
        })
    }
}
