//! Checks each outbound connection of a component against its `allowed_outbound_hosts`.
//!
//! Follows Spin's `OutboundAllowedHosts`, and its handler for disallowed hosts in
//! `crates/runtime-factors`.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::config::allowed_hosts::{AllowedHosts, Destination};
use crate::config::variables::Variables;
use crate::log::FewLines;

/// Connections that were refused: every request may bring about one.
static REFUSED: FewLines = FewLines::new();

/// The allowed hosts of one instance. Variables in them are resolved at its first connection.
pub(crate) struct OutboundPolicy {
    component: String,
    entries: Arc<[String]>,
    variables: Arc<Variables>,
    /// An error if the variables' values make an entry invalid. Every connection is then refused
    /// with it.
    hosts: OnceCell<Result<AllowedHosts, String>>,
}

impl OutboundPolicy {
    /// The policy of a new instance, from its component's `allowed_outbound_hosts`.
    pub(crate) fn new(component: &str, entries: Arc<[String]>, variables: Arc<Variables>) -> Self {
        Self {
            component: component.to_owned(),
            entries,
            variables,
            hosts: OnceCell::new(),
        }
    }

    /// Whether the component may connect to `address`. It is a URL, or an address without a scheme,
    /// which then is `scheme`. A refusal is reported on stderr, since the component only learns
    /// that the address is not valid.
    pub(crate) async fn allows(&self, address: &str, scheme: &str) -> Result<bool, String> {
        // The address is not shown: it may hold a password.
        let Ok(destination) = Destination::parse(address, scheme) else {
            REFUSED.write(format_args!(
                "Component {:?} used a {scheme} address that is not valid.",
                self.component
            ));
            return Ok(false);
        };
        let allowed = self.hosts().await?.allows(&destination);
        if !allowed {
            let pattern = destination.pattern();
            REFUSED.write(format_args!(
                "Component {:?} may not connect to {pattern}. \
                 To allow it, add \"{pattern}\" to its allowed_outbound_hosts in spin.toml.",
                self.component
            ));
        }
        Ok(allowed)
    }

    /// Whether the component may send requests to its own application.
    pub(crate) async fn allows_itself(&self) -> Result<bool, String> {
        let allowed = self.hosts().await?.allows_itself();
        if !allowed {
            REFUSED.write(format_args!(
                "Component {:?} may not send requests to its own application. \
                 To allow it, add \"http://self\" to its allowed_outbound_hosts in spin.toml.",
                self.component
            ));
        }
        Ok(allowed)
    }

    async fn hosts(&self) -> Result<&AllowedHosts, String> {
        let resolve = async || {
            let hosts = AllowedHosts::resolve(&self.entries, &self.variables).await;
            hosts.map_err(|error| format!("{error:#}"))
        };
        let hosts = self.hosts.get_or_init(resolve).await;
        hosts.as_ref().map_err(|error| {
            REFUSED.write(format_args!(
                "Component {:?} may not connect anywhere: {error}",
                self.component
            ));
            error.clone()
        })
    }
}
