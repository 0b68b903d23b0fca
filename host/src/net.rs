//! Connections that the host makes: the HTTP client, its connector, and the cap on connections.
//!
//! Nothing here knows the application or its components.

mod connect;
pub(crate) mod connection_cap;
pub(crate) mod http_client;
